from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.grants import challenge_of
from jmap_proxy.sandbox.provider_settings import metadata
from jmap_proxy.sandbox.pushed_requests import PUSHED_LIFE
from tests.sandbox.helpers import CALLBACK, VERIFIER

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from tests.sandbox.helpers import Person
    from tests.support.clock import Clock

REQUEST = {
    "client_id": "jmap-proxy",
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "scope": "openid",
    "state": "pushed",
    "code_challenge": challenge_of(VERIFIER),
    "code_challenge_method": "S256",
}


@pytest.fixture(autouse=True)
def _required(idp: IdentityProvider) -> None:
    idp.settings.require_pushed_authorization_requests = True


async def push(idp: IdentityProvider, http: ClientSession, **changes: str) -> tuple[int, dict[str, Any]]:
    """Push a request."""
    async with http.post(f"{idp.issuer}/par", data={**REQUEST, **changes}) as response:
        return response.status, await response.json()


async def come(idp: IdentityProvider, http: ClientSession, **query: str) -> tuple[int, str]:
    """Come with a browser; return the status and where it is sent."""
    url = f"{idp.issuer}/authorize"
    async with http.get(url, params={"client_id": "jmap-proxy", **query}, allow_redirects=False) as response:
        return response.status, response.headers.get("Location", "")


async def test_a_pushed_request_is_good_once(idp: IdentityProvider, http: ClientSession) -> None:
    """The browser brings its URI alone; the second time it leads nowhere."""
    status, answer = await push(idp, http)
    assert (status, answer["expires_in"]) == (201, PUSHED_LIFE)
    assert answer["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    status, location = await come(idp, http, request_uri=answer["request_uri"], state="other")
    assert (status, "state=pushed" in location, "code=" in location) == (302, True, True)
    assert await come(idp, http, request_uri=answer["request_uri"]) == (400, "")
    assert idp.pushed_requests == [REQUEST]


async def test_a_pushed_request_ends_and_is_its_clients(
    idp: IdentityProvider, http: ClientSession, clock: Clock
) -> None:
    """After a minute, or with another client's name, its URI leads nowhere."""
    _, answer = await push(idp, http)
    clock.now += PUSHED_LIFE
    assert await come(idp, http, request_uri=answer["request_uri"]) == (400, "")
    _, answer = await push(idp, http)
    assert await come(idp, http, request_uri=answer["request_uri"], client_id="other") == (400, "")


async def test_where_requests_must_be_pushed_no_other_is_taken(idp: IdentityProvider, person: Person) -> None:
    """It goes back as `invalid_request`; without that setting it is taken."""
    assert (await person.authorize())[1]["error"] == "invalid_request"
    idp.settings.require_pushed_authorization_requests = False
    idp.settings.pushed_authorization_requests = True
    assert "code" in (await person.authorize())[1]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "other"}, "invalid_client"),
        ({"client_secret": "made up"}, "invalid_client"),
        ({"request_uri": "urn:x"}, "invalid_request"),
        ({"redirect_uri": "https://evil.example/callback"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "nonsense"}, "invalid_scope"),
    ],
)
async def test_an_unsound_request_is_refused_at_once(
    idp: IdentityProvider, http: ClientSession, changes: dict[str, str], error: str
) -> None:
    """To the client, before a browser comes."""
    idp.settings.refuse_scopes = True
    status, answer = await push(idp, http, **changes)
    assert (status, answer["error"]) == (401 if error == "invalid_client" else 400, error)


async def test_a_confidential_client_shows_its_secret(idp: IdentityProvider, http: ClientSession) -> None:
    """And what it shows is not kept with the request."""
    idp.settings.client_secret = "s"
    assert (await push(idp, http))[0] == 401
    _, answer = await push(idp, http, client_secret="s")
    assert (await come(idp, http, request_uri=answer["request_uri"]))[0] == 302


async def test_the_user_is_asked_only_when_the_browser_comes(idp: IdentityProvider, http: ClientSession) -> None:
    """A refusal goes back with the browser."""
    idp.settings.deny = True
    status, answer = await push(idp, http)
    assert status == 201
    assert "error=access_denied" in (await come(idp, http, request_uri=answer["request_uri"]))[1]


async def test_without_the_setting_nothing_can_be_pushed(idp: IdentityProvider, http: ClientSession) -> None:
    """There is no endpoint."""
    idp.settings.require_pushed_authorization_requests = False
    async with http.post(f"{idp.issuer}/par", data=REQUEST) as response:
        assert response.status == 404


@pytest.mark.parametrize("required", [True, False])
def test_the_metadata_say_so(*, required: bool) -> None:
    """Where to push, and whether that is needed."""
    settings = ProviderSettings(pushed_authorization_requests=True, require_pushed_authorization_requests=required)
    document = metadata("http://127.0.0.1:1", settings)
    assert document["pushed_authorization_request_endpoint"] == "http://127.0.0.1:1/par"
    assert document.get("require_pushed_authorization_requests", False) is required

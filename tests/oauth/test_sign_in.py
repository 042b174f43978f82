from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.oauth.authorization import code_challenge
from jmap_proxy.sandbox import Fault, browse
from tests.oauth.helpers import Parts

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from tests.support.clock import Clock


async def refused(parts: Parts) -> str:
    """Why a sign-in did not succeed; no reason holds a secret of the attempt."""
    with pytest.raises(SignInError) as caught:
        await parts.sign_in()
    return f"{caught.value} {caught.value.hint}"


async def test_a_sign_in_gives_the_first_generation(parts: Parts, idp: IdentityProvider, clock: Clock) -> None:
    """Tokens that the provider knows, absolute times, and who they are for."""
    tokens, page = await parts.sign_in()
    assert idp.check(tokens.access_token) == "demo"
    assert (tokens.account, tokens.issuer, tokens.client_id) == ("alice", idp.issuer, "jmap-proxy")
    assert (tokens.subject, tokens.generation, tokens.scope) == ("demo", 1, "openid")
    assert (tokens.obtained_at, tokens.expires_at) == (clock.now, clock.now + 3600)
    assert "close this tab" in page


async def test_the_page_shows_no_secret(parts: Parts, idp: IdentityProvider) -> None:
    """Neither code nor state stand in what the browser shows."""
    _, page = await parts.sign_in()
    assert idp.authorize_requests[-1]["state"] not in page
    assert idp.token_requests[-1].form["code"] not in page


async def test_the_code_is_bound_to_the_attempt(parts: Parts, idp: IdentityProvider) -> None:
    """The verifier matches the challenge, the redirect is the same one, and each attempt has values of its own."""
    await parts.sign_in()
    await parts.sign_in()
    first, second = idp.authorize_requests
    form = idp.token_requests[0].form
    assert code_challenge(form["code_verifier"]) == first["code_challenge"]
    assert 43 <= len(form["code_verifier"]) <= 128
    assert form["redirect_uri"] == first["redirect_uri"]
    assert form["client_id"] == "jmap-proxy"
    assert "resource" not in form
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))


async def test_the_login_hint_is_passed_on(parts: Parts, idp: IdentityProvider) -> None:
    """The provider can offer the right user at once."""
    tokens, _ = await parts.sign_in(login_hint="ann@example.com")
    assert idp.check(tokens.access_token) == "ann@example.com"


async def test_without_openid_there_is_no_subject(session: ClientSession, clock: Clock, idp: IdentityProvider) -> None:
    """A plain OAuth provider sends no ID token, and its keys are not asked for."""
    idp.faults.add("jwks", Fault(status=500, count=-1))
    tokens, _ = await Parts(session, clock, idp.issuer, scopes=("mail",)).sign_in()
    assert tokens.subject == ""
    assert "nonce" not in idp.authorize_requests[-1]


async def test_a_missing_id_token_is_no_reason_to_stop(parts: Parts, idp: IdentityProvider) -> None:
    """Some providers grant openid and mean nothing by it; the Session tells whose mail it is."""
    idp.faults.add("token", Fault(body=b'{"access_token": "a", "token_type": "Bearer"}'))
    with structlog.testing.capture_logs() as logs:
        tokens, _ = await parts.sign_in()
    assert tokens.subject == ""
    assert [line["event"] for line in logs] == ["the provider sent no ID token although openid was asked for"]


async def test_a_hostile_page_does_not_end_the_sign_in(parts: Parts, idp: IdentityProvider) -> None:
    """A visit with a wrong state changes nothing; the right one then succeeds."""
    visits: list[asyncio.Task[Any]] = []

    async def visit(url: str) -> None:
        callback = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        assert (await browse(f"{callback}?code=stolen&state=guess&iss={idp.issuer}"))[0] == 400
        assert (await browse(f"{callback}?error=access_denied"))[0] == 400
        assert (await browse(url))[0] == 200

    tokens = await parts.flow.by_browser("alice", lambda url: visits.append(asyncio.create_task(visit(url))))
    await asyncio.gather(*visits)
    assert idp.check(tokens.access_token) == "demo"
    assert len(idp.token_requests) == 1


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"deny": True}, "access_denied"),
        ({"callback_overrides": {"iss": "https://evil.example"}}, "another identity provider"),
        ({"callback_overrides": {"iss": None}}, "promised"),
        ({"callback_overrides": {"code": None}}, "no code"),
        ({"callback_overrides": {"error": "<b>odd</b>"}}, "not standard"),
    ],
)
async def test_a_bad_redirect_ends_the_sign_in(
    parts: Parts, idp: IdentityProvider, settings: dict[str, Any], told: str
) -> None:
    """The reason is told, and no code is exchanged."""
    for name, value in settings.items():
        setattr(idp.settings, name, value)
    assert told in await refused(parts)
    assert idp.token_requests == []


async def test_a_provider_need_not_name_itself(parts: Parts, idp: IdentityProvider) -> None:
    """RFC 9207 is optional: who does not promise `iss` may leave it out."""
    idp.settings.iss_in_callback = False
    assert (await parts.sign_in())[0].generation == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"foreign_signature": True},
        {"id_token_overrides": {"aud": "other"}},
        {"id_token_overrides": {"iss": "https://evil.example"}},
        {"id_token_overrides": {"nonce": "replayed"}},
        {"id_token_overrides": {"exp": 5}},
        {"id_token_overrides": {"azp": "other"}},
        {"metadata_overrides": {"jwks_uri": None}},
    ],
)
async def test_a_bad_id_token_ends_the_sign_in(parts: Parts, idp: IdentityProvider, settings: dict[str, Any]) -> None:
    """Tokens that come with an ID token that does not hold are not used."""
    for name, value in settings.items():
        setattr(idp.settings, name, value)
    reason = await refused(parts)
    assert "ID token" in reason
    assert idp.token_requests[-1].form["code"] not in reason


@pytest.mark.parametrize("fault", [Fault(garbage=True), Fault(status=404), Fault(body=b"[]"), Fault(body=b"[" * 10**5)])
async def test_keys_that_cannot_be_read_end_the_sign_in(parts: Parts, idp: IdentityProvider, fault: Fault) -> None:
    """Without keys nothing can be checked."""
    idp.faults.add("jwks", fault)
    assert "keys cannot be read" in await refused(parts)


async def test_keys_that_cannot_be_fetched_end_the_sign_in(parts: Parts, idp: IdentityProvider) -> None:
    """A dropped connection is the provider's error."""
    idp.faults.add("jwks", Fault(drop_early=True, count=-1))
    with pytest.raises(ProviderError):
        await parts.sign_in()


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(status=400, body=b'{"error": "invalid_grant", "error_description": "secret"}'), "invalid_grant"),
        (Fault(status=503), "503"),
        (Fault(drop=True), "Disconnected"),
        (Fault(body=b""), "without a usable access_token"),
    ],
)
async def test_a_code_that_gives_no_tokens_ends_the_sign_in(
    parts: Parts, idp: IdentityProvider, fault: Fault, told: str
) -> None:
    """The code is sent once, and the reason holds neither it nor the provider's words."""
    idp.faults.add("token", fault)
    reason = await refused(parts)
    assert told in reason
    assert "secret" not in reason
    assert len(idp.token_requests) == 1
    assert idp.token_requests[0].form["code"] not in reason


async def test_a_provider_that_is_down_is_told_before_a_browser_opens(parts: Parts, idp: IdentityProvider) -> None:
    """No URL is shown that could not work."""
    idp.faults.add("metadata", Fault(status=503, count=-1))
    with pytest.raises(ProviderError):
        await parts.flow.by_browser("alice", lambda _: pytest.fail("a URL was shown"))


async def test_giving_up_closes_the_port(parts: Parts) -> None:
    """A sign-in that is cancelled leaves nobody listening."""
    shown: asyncio.Queue[str] = asyncio.Queue()
    waiting = asyncio.create_task(parts.flow.by_browser("alice", shown.put_nowait))
    callback = parse_qs(urlsplit(await shown.get()).query)["redirect_uri"][0]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", urlsplit(callback).port)

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from jmap_proxy.sandbox import Fault, ProviderSettings
from jmap_proxy.sandbox.client_authentication import ASSERTION_TYPE
from jmap_proxy.sandbox.registration import RegistrationError, registered
from tests.support.clock import NOW

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from tests.sandbox.helpers import Person
    from tests.support.clock import Clock

NATIVE = {
    "redirect_uris": ["http://127.0.0.1/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_method": "none",
    "client_name": "jmap-proxy",
}


@pytest.fixture(autouse=True)
def _open(idp: IdentityProvider) -> None:
    idp.settings.registration = "open"


async def register(
    idp: IdentityProvider, http: ClientSession, *, bearer: str = "", **changes: Any
) -> tuple[int, dict[str, Any]]:
    """Register a native client with some of its metadata replaced (or removed, by None)."""
    metadata = {key: value for key, value in {**NATIVE, **changes}.items() if value is not None}
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with http.post(f"{idp.issuer}/register", json=metadata, headers=headers) as response:
        return response.status, await response.json()


async def test_a_registered_client_signs_in(idp: IdentityProvider, http: ClientSession, person: Person) -> None:
    """At any port of the loopback address that it named; its tokens and its ID token are its own."""
    status, client = await register(idp, http)
    assert (status, client["client_name"], client["token_endpoint_auth_method"]) == (201, "jmap-proxy", "none")
    assert "client_secret" not in client
    _, back = await person.authorize(client_id=client["client_id"])
    status, answer = await person.redeem(back["code"], client_id=client["client_id"])
    assert status == 200
    assert (await person.refresh(answer["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await person.refresh(answer["refresh_token"], client_id=client["client_id"]))[0] == 200
    assert idp.registrations == [NATIVE]


async def test_each_registration_has_an_id_of_its_own(idp: IdentityProvider, http: ClientSession) -> None:
    """The same metadata twice are two clients."""
    first, second = (await register(idp, http))[1], (await register(idp, http))[1]
    assert first["client_id"] != second["client_id"]
    assert idp.registered_clients == [first["client_id"], second["client_id"]]


async def test_without_the_setting_there_is_no_registration(idp: IdentityProvider, http: ClientSession) -> None:
    """Neither an endpoint in the metadata nor one at its place."""
    idp.settings.registration = "off"
    async with http.post(f"{idp.issuer}/register", json=NATIVE) as response:
        assert response.status == 404
    async with http.get(f"{idp.issuer}/.well-known/oauth-authorization-server") as response:
        assert "registration_endpoint" not in await response.json()


@pytest.mark.parametrize(("token", "status"), [("", 401), ("guess", 401), ("initial", 201)])
async def test_registration_may_need_a_token(
    idp: IdentityProvider, http: ClientSession, token: str, status: int
) -> None:
    """Without the initial access token it is 401 (RFC 7591 §3)."""
    idp.settings.registration = "token"
    assert (await register(idp, http, bearer=token))[0] == status


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", None])
async def test_a_confidential_client_gets_a_secret(
    idp: IdentityProvider, http: ClientSession, person: Person, clock: Clock, method: str | None
) -> None:
    """Which it must show in the way it named, Basic unless it named one, and only until it expires."""
    idp.settings.client_secret_life = 100
    _, client = await register(idp, http, token_endpoint_auth_method=method)
    assert client["token_endpoint_auth_method"] == (method or "client_secret_basic")
    assert client["client_secret_expires_at"] == int(clock.now) + 100
    shown = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    form = {"grant_type": "refresh_token", "refresh_token": "guess", **shown}
    _, answer = await person.token(**form)
    assert answer["error"] == ("invalid_grant" if method == "client_secret_post" else "invalid_client")
    clock.now += 100
    assert (await person.token(**form))[1]["error"] == "invalid_client"


async def test_a_secret_may_live_for_ever(idp: IdentityProvider, http: ClientSession) -> None:
    """Then its end is told as 0 (RFC 7591 §3.2.1)."""
    _, client = await register(idp, http, token_endpoint_auth_method="client_secret_basic")
    assert client["client_secret_expires_at"] == 0


async def test_forgotten_clients_are_not_known(idp: IdentityProvider, http: ClientSession, person: Person) -> None:
    """`invalid_client` at the token endpoint, and a page that leads nowhere in the browser."""
    _, client = await register(idp, http)
    _, back = await person.authorize(client_id=client["client_id"])
    idp.forget_clients()
    assert await person.authorize(client_id=client["client_id"]) == (400, {})
    assert (await person.redeem(back["code"], client_id=client["client_id"]))[1]["error"] == "invalid_client"
    assert "code" in (await person.authorize())[1]


async def test_a_foreign_redirect_uri_leads_nowhere(idp: IdentityProvider, http: ClientSession, person: Person) -> None:
    """Even a loopback one, if it is not the registered one."""
    _, client = await register(idp, http, redirect_uris=["http://127.0.0.1/other"])
    assert await person.authorize(client_id=client["client_id"]) == (400, {})


async def test_a_client_gets_only_what_it_registered_for(
    idp: IdentityProvider, http: ClientSession, person: Person
) -> None:
    """No refresh token without that grant type, which is so by default, and no scope beyond its own."""
    _, client = await register(idp, http, grant_types=None, scope="openid offline_access")
    _, back = await person.authorize(client_id=client["client_id"])
    _, answer = await person.redeem(back["code"], client_id=client["client_id"])
    assert "refresh_token" not in answer
    status, answer = await person.refresh("any", client_id=client["client_id"])
    assert (status, answer["error"]) == (400, "unauthorized_client")
    _, back = await person.authorize(client_id=client["client_id"], scope="openid mail")
    assert back["error"] == "invalid_scope"


async def test_a_client_sees_and_ends_its_registration(idp: IdentityProvider, http: ClientSession) -> None:
    """With its registration access token, and with no other (RFC 7592)."""
    _, client = await register(idp, http)
    url, good = client["registration_client_uri"], {"Authorization": f"Bearer {client['registration_access_token']}"}
    async with http.get(url, headers={"Authorization": "Bearer guess"}) as response:
        assert response.status == 401
    async with http.get(url, headers=good) as response:
        assert await response.json() == client
    for status in (204, 401):
        async with http.delete(url, headers=good) as response:
            assert response.status == status
    assert idp.registered_clients == []


async def test_an_answer_can_be_falsified(idp: IdentityProvider, http: ClientSession) -> None:
    """What it says can be replaced and left out."""
    idp.settings.registration_overrides = {"client_id": None, "token_endpoint_auth_method": "client_secret_post"}
    status, answer = await register(idp, http)
    assert (status, answer["token_endpoint_auth_method"], "client_id" in answer) == (201, "client_secret_post", False)


@pytest.mark.parametrize("code", ["invalid_redirect_uri", "invalid_client_metadata"])
async def test_every_registration_can_be_refused(idp: IdentityProvider, http: ClientSession, code: str) -> None:
    """With the code that the settings name."""
    idp.settings.registration_refusal = code
    status, answer = await register(idp, http)
    assert (status, answer["error"]) == (400, code)
    assert idp.registered_clients == []


async def test_registration_has_a_fault_place(idp: IdentityProvider, http: ClientSession) -> None:
    """A fault answers in the endpoint's place."""
    idp.faults.add("register", Fault(status=503))
    async with http.post(f"{idp.issuer}/register", json=NATIVE) as response:
        assert response.status == 503


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_what_is_no_object_is_refused(idp: IdentityProvider, http: ClientSession, body: bytes) -> None:
    """And recorded as an empty one."""
    async with http.post(f"{idp.issuer}/register", data=body) as response:
        assert (response.status, (await response.json())["error"]) == (400, "invalid_client_metadata")
    assert idp.registrations == [{}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://127.0.0.1/callback#f"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["/callback"]}, "invalid_redirect_uri"),
        ({"redirect_uris": "http://127.0.0.1/callback"}, "invalid_client_metadata"),
        ({"redirect_uris": [1]}, "invalid_client_metadata"),
        ({"grant_types": ["password"]}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": []}}, "invalid_client_metadata"),
        ({"scope": ["openid"]}, "invalid_client_metadata"),
        ({"scope": "openid nonsense"}, "invalid_client_metadata"),
    ],
)
def test_unsound_metadata_are_refused(changes: dict[str, Any], code: str) -> None:
    """With one of the two codes of RFC 7591 §3.2.2."""
    settings = ProviderSettings(registration="open", refuse_scopes=True)
    with pytest.raises(RegistrationError) as caught:
        registered({**NATIVE, **changes}, settings, now=0)
    assert caught.value.code == code


async def test_a_client_may_bring_its_keys(idp: IdentityProvider, http: ClientSession, person: Person) -> None:
    """And then proves with them who it is."""
    key = ECKey.generate_key("P-256", auto_kid=True)
    jwks = dict(KeySet([key]).as_dict(private=False))
    status, client = await register(idp, http, token_endpoint_auth_method="private_key_jwt", jwks=jwks)
    assert (status, client["jwks"], "client_secret" in client) == (201, jwks, False)
    own = client["client_id"]
    claims = {"iss": own, "sub": own, "aud": f"{idp.issuer}/token", "exp": NOW + 60, "jti": "1"}
    form: dict[str, Any] = {
        "grant_type": "refresh_token",
        "refresh_token": "guess",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode({"alg": "ES256", "kid": str(key.kid)}, claims, key),
    }
    assert (await person.token(client_id=own, **form))[1]["error"] == "invalid_grant"
    assert (await person.token(client_id=own, **form))[1]["error"] == "invalid_client"


def test_a_client_without_a_browser_needs_no_redirect_uri() -> None:
    """If it does not want codes, it is never sent one."""
    wanted = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_post"}
    known = registered(wanted, ProviderSettings(registration="open"), now=0)
    assert (known.answer["response_types"], known.client.takes_redirect("")) == ([], False)


def test_unknown_scopes_are_left_out_unless_they_are_refused() -> None:
    """The answer tells what is left (RFC 7591 §3.2.1)."""
    known = registered({**NATIVE, "scope": "openid nonsense"}, ProviderSettings(registration="open"), now=0)
    assert known.answer["scope"] == known.client.scope == "openid"


def test_no_secret_is_in_a_repr() -> None:
    """A registered client can be printed."""
    wanted = {**NATIVE, "token_endpoint_auth_method": "client_secret_post"}
    known = registered(wanted, ProviderSettings(registration="open"), now=0)
    assert known.client.secret not in repr(known)
    assert known.access_token not in repr(known)

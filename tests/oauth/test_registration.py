from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.oauth.http import Answer, ProviderHttp
from jmap_proxy.oauth.metadata import ProviderMetadata
from jmap_proxy.oauth.registration import is_known, read_registration, register, remove, wished
from jmap_proxy.sandbox import Fault
from tests.support.clock import NOW
from tests.support.scripted_server import Scripted

if TYPE_CHECKING:
    from jmap_proxy.sandbox import IdentityProvider
    from jmap_proxy.tokens.registration import Registration
    from tests.oauth.helpers import Parts

ISSUER = "https://sso.example"
URIS = ("http://127.0.0.1/callback", "http://[::1]/callback")
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.sampled_from([*URIS, "none", ISSUER]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
GOOD: dict[str, Any] = {
    "client_id": "new-one",
    "redirect_uris": list(URIS),
    "token_endpoint_auth_method": "none",
    "registration_client_uri": f"{ISSUER}/register/new-one",
    "registration_access_token": "m4nage",
}


def metadata(**changes: Any) -> ProviderMetadata:
    """Metadata of a provider that lets clients register."""
    fields: dict[str, Any] = {
        "issuer": ISSUER,
        "token_endpoint": f"{ISSUER}/token",
        "registration_endpoint": f"{ISSUER}/register",
    }
    return ProviderMetadata(**{**fields, **changes})


def read(status: int = 201, body: bytes | None = None, **changes: Any) -> Registration:
    """What an answer with changes means; None leaves a member out."""
    told = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    answer = Answer(status, {}, json.dumps(told).encode() if body is None else body)
    return read_registration(answer, metadata(), redirect_uris=URIS, now=NOW)


async def registered(parts: Parts, idp: IdentityProvider) -> tuple[Registration, ProviderMetadata]:
    """A client that has registered at the sandbox."""
    idp.settings.registration = "open"
    provider = await parts.discovery.metadata(idp.issuer)
    made = await register(
        provider, parts.http, redirect_uris=URIS, scopes=("openid",), client_name="jmap-proxy", now=NOW
    )
    return made, provider


async def test_a_client_registers(parts: Parts, idp: IdentityProvider) -> None:
    """As a public native client for loopback redirects; what it was told is kept."""
    made, _ = await registered(parts, idp)
    assert idp.registrations == [
        {
            "client_name": "jmap-proxy",
            "application_type": "native",
            "redirect_uris": list(URIS),
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "scope": "openid",
        }
    ]
    assert [made.client_id] == idp.registered_clients
    assert (made.issuer, made.client_secret, made.token_endpoint_auth_method) == (idp.issuer, "", "none")
    assert made.registration_client_uri == f"{idp.issuer}/register/{made.client_id}"
    assert made.registration_access_token
    assert made.registered_at == NOW


@pytest.mark.parametrize(
    ("taken", "method"),
    [
        ((), "none"),
        (("none", "client_secret_basic"), "none"),
        (("client_secret_post", "client_secret_basic"), "client_secret_basic"),
        (("client_secret_post",), "client_secret_post"),
        (("private_key_jwt",), "none"),
    ],
)
def test_a_client_is_public_where_that_is_possible(taken: tuple[str, ...], method: str) -> None:
    """Else it asks for a secret."""
    provider = metadata(token_endpoint_auth_methods_supported=taken)
    assert wished(provider, redirect_uris=URIS, scopes=(), client_name="x")["token_endpoint_auth_method"] == method


def test_what_is_wished_for_fits_the_provider() -> None:
    """The device flow where there is one; no scope leaves it open."""
    provider = metadata(device_authorization_endpoint=f"{ISSUER}/device")
    wanted = wished(provider, redirect_uris=URIS, scopes=(), client_name="x")
    assert wanted["grant_types"][-1] == "urn:ietf:params:oauth:grant-type:device_code"
    assert "scope" not in wanted


def test_a_secret_that_is_given_is_kept() -> None:
    """With its end, and how it is shown."""
    made = read(
        token_endpoint_auth_method="client_secret_post", client_secret="s3cret", client_secret_expires_at=NOW + 9
    )
    assert (made.client_secret, made.token_endpoint_auth_method) == ("s3cret", "client_secret_post")
    assert made.client_secret_expires_at == NOW + 9
    assert "s3cret" not in repr(made)
    assert read(token_endpoint_auth_method=None, client_secret="s").token_endpoint_auth_method == "client_secret_basic"
    assert read(client_secret="s").client_secret == ""  # who says that the client is public means it


@pytest.mark.parametrize("end", [None, 0, -1, True, "soon", 1e300, 10**400, [1]])
def test_a_secrets_end_that_is_none_is_never(end: object) -> None:
    """And can be stored."""
    made = read(token_endpoint_auth_method="client_secret_basic", client_secret="s", client_secret_expires_at=end)
    assert made.client_secret_expires_at == 0.0
    assert msgspec.json.decode(msgspec.json.encode(made), type=type(made)) == made


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"client_id": None}, "no client_id"),
        ({"client_id": 5}, "no client_id"),
        ({"client_id": "a\r\nb"}, "no client_id"),
        ({"redirect_uris": [*URIS, "https://evil.example/"]}, "other redirect URIs"),
        ({"redirect_uris": ["https://evil.example/"]}, "other redirect URIs"),
        ({"redirect_uris": [URIS[1]]}, "other redirect URIs"),
        ({"redirect_uris": []}, "other redirect URIs"),
        ({"redirect_uris": URIS[0]}, "other redirect URIs"),
        ({"redirect_uris": [URIS[0], {}]}, "other redirect URIs"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "cannot prove itself"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "cannot prove itself"),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "cannot prove itself"),
        ({"token_endpoint_auth_method": ["none"]}, "cannot prove itself"),
        ({"body": b""}, "no client_id"),
        ({"body": b"<html>"}, "no client_id"),
        ({"body": b'["client_id"]'}, "no client_id"),
    ],
)
def test_an_answer_that_cannot_be_used_is_told(changes: dict[str, Any], told: str) -> None:
    """A redirect URI of somebody else would be sent the code."""
    with pytest.raises(SignInError, match=told) as caught:
        read(**changes)
    assert "--client-id" in caught.value.hint


def test_redirect_uris_need_not_be_repeated() -> None:
    """Nor need all be granted, as long as the one that is used is."""
    assert read(redirect_uris=None).redirect_uris == URIS
    assert read(redirect_uris=[URIS[0]]).redirect_uris == (URIS[0],)


@pytest.mark.parametrize(
    "changes",
    [
        {"registration_client_uri": "http://sso.example/register/new-one"},
        {"registration_client_uri": "https://evil.example/register/new-one"},
        {"registration_client_uri": "https://sso.example.evil.example/"},
        {"registration_client_uri": "https://sso.example:444/register"},
        {"registration_client_uri": "//sso.example/register"},
        {"registration_client_uri": "file:///etc/passwd"},
        {"registration_client_uri": ["x"]},
        {"registration_client_uri": None},
        {"registration_access_token": None},
        {"registration_access_token": "a\r\nX-Evil: 1"},
    ],
)
def test_the_management_token_stays_with_the_provider(changes: dict[str, Any]) -> None:
    """Neither over plain http nor to another origin; the client itself can be used all the same."""
    made = read(**changes)
    assert made.client_id == "new-one"
    assert (made.registration_client_uri, made.registration_access_token) == ("", "")


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, b'{"error": "invalid_redirect_uri", "error_description": "s3cret"}', "(invalid_redirect_uri)"),
        (400, b'{"error": "s3cret"}', "it answers 400"),
        (401, b"", "it answers 401"),
        (403, b"<html>s3cret", "it answers 403"),
        (307, b"", "it answers 307"),
    ],
)
def test_a_refusal_says_how_to_do_it_by_hand(status: int, body: bytes, told: str) -> None:
    """Without the provider's words."""
    with pytest.raises(SignInError) as caught:
        read(status, body)
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "--client-id" in caught.value.hint


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_provider_in_trouble_has_refused_nothing(status: int) -> None:
    """It is tried again later."""
    with pytest.raises(ProviderError, match=str(status)):
        read(status, b"")


async def test_a_provider_that_does_not_know_ipv6_gets_one_uri(parts: Parts, idp: IdentityProvider) -> None:
    """The one that is used; if that is refused too, it is told."""
    refusal = Fault(status=400, body=b'{"error": "invalid_redirect_uri"}')
    idp.faults.add("register", refusal)
    made, _ = await registered(parts, idp)
    assert made.redirect_uris == URIS[:1]
    assert [wanted["redirect_uris"] for wanted in idp.registrations] == [list(URIS), list(URIS[:1])]
    idp.settings.registration_refusal = "invalid_redirect_uri"
    with pytest.raises(SignInError, match="invalid_redirect_uri"):
        await registered(parts, idp)
    assert len(idp.registrations) == 4


async def test_a_provider_that_does_not_answer_is_told(parts: Parts, idp: IdentityProvider) -> None:
    """As a provider's error."""
    idp.faults.add("register", Fault(drop_early=True))
    with pytest.raises(ProviderError):
        await registered(parts, idp)


async def test_a_known_client_is_known(parts: Parts, idp: IdentityProvider) -> None:
    """By its own entry at the provider; one that was forgotten is not."""
    made, provider = await registered(parts, idp)
    assert await is_known(made, provider, parts.http, now=NOW)
    idp.forget_clients()
    assert not await is_known(made, provider, parts.http, now=NOW)
    assert idp.token_requests == []


async def test_without_an_entry_the_token_endpoint_tells(parts: Parts, idp: IdentityProvider) -> None:
    """By a code that nobody has given; nothing else is sent."""
    made, provider = await registered(parts, idp)
    bare = msgspec.structs.replace(made, registration_client_uri="", registration_access_token="")
    assert await is_known(bare, provider, parts.http, now=NOW)
    idp.forget_clients()
    assert not await is_known(bare, provider, parts.http, now=NOW)
    assert [request.outcome for request in idp.token_requests] == ["invalid_grant", "invalid_client"]
    assert not any("refresh_token" in request.form for request in idp.token_requests)


async def test_a_client_with_a_secret_shows_it(parts: Parts, idp: IdentityProvider) -> None:
    """In the way that was agreed on; once the secret has ended, nobody is asked."""
    idp.settings.auth_methods = ("client_secret_post",)
    idp.settings.registration_overrides = {"registration_client_uri": None}
    idp.settings.client_secret_life = 100
    made, provider = await registered(parts, idp)
    assert made.client_secret
    assert await is_known(made, provider, parts.http, now=NOW + 99)
    assert idp.token_requests[0].form["client_secret"] == made.client_secret
    assert not await is_known(made, provider, parts.http, now=NOW + 100)
    assert len(idp.token_requests) == 1


@pytest.mark.parametrize(
    ("entry", "known"),
    [
        ((200, json.dumps({"client_id": "new-one"}).encode(), {}), True),
        ((200, json.dumps({"client_id": "other"}).encode(), {}), True),
        ((404, b"", {}), False),
        ((410, b"", {}), False),
        ((401, b"", {}), False),
        ((403, b"", {}), True),
        ((405, b"", {}), True),
        ((503, b"", {}), True),
        ((302, b"", {"Location": "https://evil.example/"}), True),
    ],
)
async def test_only_a_clear_no_counts(parts: Parts, entry: tuple[int, bytes, dict[str, str]], *, known: bool) -> None:
    """What is unclear is asked at the token endpoint, and what is unclear there too speaks for the client."""
    async with Scripted({"/register/new-one": entry}) as server:
        made = msgspec.structs.replace(read(), registration_client_uri=f"{server.origin}/register/new-one")
        provider = metadata(token_endpoint=f"{server.origin}/token")
        assert await is_known(made, provider, parts.http, now=NOW) is known
        assert server.headers[0]["Authorization"] == "Bearer m4nage"
        assert not any("Authorization" in each for each in server.headers[1:])


async def test_a_provider_that_is_down_has_forgotten_nobody(parts: Parts, idp: IdentityProvider) -> None:
    """The client is used as it is."""
    made, provider = await registered(parts, idp)
    async with Scripted() as gone:
        dead = gone.origin
    nowhere = msgspec.structs.replace(made, registration_client_uri=f"{dead}/register/x")
    assert await is_known(nowhere, provider, parts.http, now=NOW)


async def test_a_client_is_removed(parts: Parts, idp: IdentityProvider) -> None:
    """Where the provider has a place for that; else nothing is asked."""
    made, _ = await registered(parts, idp)
    await remove(msgspec.structs.replace(made, registration_client_uri=""), parts.http)
    assert idp.registered_clients == [made.client_id]
    await remove(made, parts.http)
    assert idp.registered_clients == []
    await remove(made, parts.http)  # once more: it is gone already


async def test_removing_never_goes_over_plain_http(parts: Parts) -> None:
    """Whatever the store says."""
    made = msgspec.structs.replace(read(), registration_client_uri="http://sso.example/register/new-one")
    with pytest.raises(ProviderError, match="plain http"):
        await remove(made, ProviderHttp(parts.http._session))


@given(st.dictionaries(st.sampled_from([*GOOD, "client_secret", "scope", "error"]), anything), st.integers(100, 599))
def test_any_answer_is_judged(fields: dict[str, Any], status: int) -> None:
    """It is a registration that can be stored and sends nothing elsewhere, or an error of its own kind."""
    try:
        made = read_registration(
            Answer(status, {}, json.dumps(fields).encode()), metadata(), redirect_uris=URIS, now=NOW
        )
    except (SignInError, ProviderError):
        return
    assert set(made.redirect_uris) <= set(URIS)
    assert not made.registration_client_uri or made.registration_client_uri.startswith(ISSUER)
    assert msgspec.json.decode(msgspec.json.encode(made), type=type(made)) == made

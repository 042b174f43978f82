from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from jmap_proxy.sandbox import IdentityProvider, ProviderSettings
from tests.sandbox.helpers import Person

if TYPE_CHECKING:
    from tests.support.clock import Clock


async def keys(idp: IdentityProvider, http: ClientSession) -> KeySet:
    """The provider's public keys."""
    async with http.get(f"{idp.issuer}/jwks") as response:
        return KeySet.import_key_set(await response.json())


@pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
async def test_metadata_names_the_issuer_exactly(idp: IdentityProvider, http: ClientSession, path: str) -> None:
    """Both well-known documents name the issuer and endpoints under it, and each request is counted."""
    async with http.get(f"{idp.issuer}/.well-known/{path}") as response:
        document = await response.json()
    assert document["issuer"] == idp.issuer
    assert document["token_endpoint"] == f"{idp.issuer}/token"
    assert document["token_endpoint_auth_methods_supported"] == ["none"]
    assert idp.metadata_requests == 1


async def test_metadata_can_be_switched_off_and_falsified(idp: IdentityProvider, http: ClientSession) -> None:
    """A document that is switched off is a 404; overrides replace and remove properties."""
    idp.settings.serve_oauth_metadata = False
    idp.settings.client_secret = "s"
    idp.settings.metadata_overrides = {"issuer": "https://evil.example", "jwks_uri": None}
    async with http.get(f"{idp.issuer}/.well-known/oauth-authorization-server") as response:
        assert response.status == 404
    async with http.get(f"{idp.issuer}/.well-known/openid-configuration") as response:
        document = await response.json()
    assert document["issuer"] == "https://evil.example"
    assert "jwks_uri" not in document
    assert "client_secret_basic" in document["token_endpoint_auth_methods_supported"]
    idp.settings.serve_openid_configuration = False
    async with http.get(f"{idp.issuer}/.well-known/openid-configuration") as response:
        assert response.status == 404


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_user_consents_and_comes_back(idp: IdentityProvider, person: Person, method: str) -> None:
    """The redirect back carries code, state and issuer, whether the request was a GET or a POST."""
    status, back = await person.authorize(method=method)
    assert status == 302
    assert back.keys() == {"code", "state", "iss"}
    assert (back["state"], back["iss"]) == ("st", idp.issuer)
    assert idp.authorize_requests[-1]["nonce"] == "no"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
    ],
)
async def test_an_unsound_request_comes_back_with_an_error(person: Person, changes: dict[str, Any], error: str) -> None:
    """Without code flow or S256 the browser goes back with an error and no code."""
    status, back = await person.authorize(**changes)
    assert status == 302
    assert back["error"] == error
    assert "code" not in back


@pytest.mark.parametrize("changes", [{"client_id": "other"}, {"redirect_uri": "https://evil.example/callback"}])
async def test_an_untrusted_request_goes_nowhere(person: Person, changes: dict[str, Any]) -> None:
    """An unknown client or a foreign redirect URI is a plain page, never a redirect."""
    assert await person.authorize(**changes) == (400, {})


async def test_the_user_can_refuse(idp: IdentityProvider, person: Person) -> None:
    """With `deny` the browser comes back with access_denied."""
    idp.settings.deny = True
    assert (await person.authorize())[1]["error"] == "access_denied"


async def test_the_way_back_can_be_falsified(idp: IdentityProvider, person: Person) -> None:
    """State and issuer can be replaced or left out."""
    idp.settings.callback_overrides = {"state": "forged", "code": None}
    idp.settings.iss_in_callback = False
    assert (await person.authorize())[1] == {"state": "forged"}


async def test_a_request_without_state_comes_back_without_one(person: Person) -> None:
    """The provider makes up no state."""
    assert "state" not in (await person.authorize(state=None))[1]


async def test_a_code_becomes_tokens(idp: IdentityProvider, person: Person) -> None:
    """The answer has all that RFC 6749 §5.1 names, and the access token is the user's."""
    answer = await person.sign_in()
    assert answer.keys() == {"access_token", "token_type", "expires_in", "refresh_token", "scope", "id_token"}
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    assert idp.check(answer["access_token"]) == "demo"
    assert [record.outcome for record in idp.token_requests] == ["ok"]


async def test_login_hint_chooses_the_user(idp: IdentityProvider, person: Person) -> None:
    """A login hint signs in another user."""
    assert idp.check((await person.sign_in(login_hint="ann"))["access_token"]) == "ann"


async def test_the_answer_can_deviate(idp: IdentityProvider, person: Person) -> None:
    """`expires_in` can be anything or absent, scope absent, the token type spelled otherwise."""
    idp.settings.expires_in = "3600"
    idp.settings.token_type = "bearer"
    idp.settings.scope_in_answer = False
    answer = await person.sign_in(scope="mail")
    assert (answer["expires_in"], answer["token_type"]) == ("3600", "bearer")
    assert "scope" not in answer
    assert "id_token" not in answer
    idp.settings.expires_in = None
    assert "expires_in" not in await person.sign_in()


async def test_the_id_token_is_signed_and_says_who(
    idp: IdentityProvider, person: Person, http: ClientSession, clock: Clock
) -> None:
    """The ID token verifies with the JWKS and names issuer, audience, subject, nonce and times."""
    token = jwt.decode((await person.sign_in())["id_token"], await keys(idp, http), algorithms=["RS256"])
    assert token.claims == {
        "iss": idp.issuer,
        "aud": "jmap-proxy",
        "sub": "demo",
        "nonce": "no",
        "iat": int(clock.now),
        "exp": int(clock.now) + 600,
    }


async def test_the_id_token_can_be_falsified(idp: IdentityProvider, person: Person, http: ClientSession) -> None:
    """Claims can be replaced, and the signature can be one that the JWKS does not cover."""
    idp.settings.id_token_overrides = {"aud": "other", "nonce": None}
    public = await keys(idp, http)
    token = jwt.decode((await person.sign_in())["id_token"], public)
    assert token.claims["aud"] == "other"
    assert "nonce" not in token.claims
    idp.settings.foreign_signature = True
    forged = (await person.sign_in())["id_token"]
    with pytest.raises(BadSignatureError):
        jwt.decode(forged, public)


async def test_rotated_keys_leave_the_jwks(idp: IdentityProvider, http: ClientSession) -> None:
    """After a rotation the JWKS holds one key, with another id."""
    before = (await keys(idp, http)).keys[0].kid
    idp.rotate_keys()
    after = await keys(idp, http)
    assert len(after.keys) == 1
    assert after.keys[0].kid != before


async def test_revocations_take_effect_at_once(idp: IdentityProvider, person: Person) -> None:
    """A revoked access token is dead while its grant lives; revoking the grants ends that too."""
    answer = await person.sign_in()
    idp.revoke_access_tokens()
    assert idp.check(answer["access_token"]) is None
    _, answer = await person.refresh(answer["refresh_token"])
    idp.revoke_grants()
    assert idp.check(answer["access_token"]) is None
    assert (await person.refresh(answer["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_nothing_secret_is_logged(person: Person, caplog: pytest.LogCaptureFixture) -> None:
    """At the most talkative level the log holds no code and no token."""
    caplog.set_level(logging.DEBUG)
    _, back = await person.authorize()
    _, answer = await person.redeem(back["code"])
    for secret in (back["code"], answer["access_token"], answer["refresh_token"]):
        assert secret not in caplog.text


async def test_the_clock_decides_when_a_token_ends(idp: IdentityProvider, person: Person, clock: Clock) -> None:
    """No second needs to pass for a token to expire: the clock says so."""
    token = (await person.sign_in())["access_token"]
    clock.now += 3600
    assert idp.check(token) is None


async def test_it_serves_on_its_own_terms() -> None:
    """Settings given at the start hold, and the real clock is the default."""
    async with IdentityProvider(settings=ProviderSettings(user="eve")) as idp, ClientSession() as http:
        assert idp.check((await Person(idp, http).sign_in())["access_token"]) == "eve"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.client_authentication import ASSERTION_TYPE, ClientAuthentication
from jmap_proxy.sandbox.clients import Clients
from jmap_proxy.sandbox.grants import GrantError
from tests.support.clock import NOW, Clock

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from tests.sandbox.helpers import Person

ISSUER = "http://127.0.0.1:1"
KEY = ECKey.generate_key("P-256", auto_kid=True)
JWKS: dict[str, Any] = dict(KeySet([KEY]).as_dict(private=False))


def authentication(settings: ProviderSettings) -> ClientAuthentication:
    """An authentication at which the time stands still."""
    return ClientAuthentication(Clients(settings), lambda: [ISSUER, f"{ISSUER}/token"], Clock())


def assertion(*, key: ECKey | RSAKey = KEY, alg: str = "ES256", **changes: Any) -> dict[str, str]:
    """The form fields of an assertion with some claims replaced (or removed, by None)."""
    claims = {"iss": "jmap-proxy", "sub": "jmap-proxy", "aud": ISSUER, "exp": NOW + 60, "jti": "1", **changes}
    said = {name: value for name, value in claims.items() if value is not None}
    token = jwt.encode({"alg": alg, "kid": key.kid}, said, key)
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}


def refusal(settings: ProviderSettings, form: dict[str, str], authorization: str = "") -> str:
    """Why a request is refused."""
    with pytest.raises(GrantError) as caught:
        authentication(settings).client_of(form, authorization)
    assert caught.value.code == "invalid_client"
    return caught.value.description


PUBLIC = ProviderSettings()
SECRET = ProviderSettings(client_secret="s")
KEYED = ProviderSettings(client_jwks=JWKS)


def test_a_public_client_names_itself() -> None:
    """The id alone is enough where there is no secret, and a secret made up is refused."""
    form = {"client_id": "jmap-proxy"}
    assert authentication(PUBLIC).client_of(form, "").client_id == "jmap-proxy"
    assert "client_secret_post" in refusal(PUBLIC, {**form, "client_secret": "x"})


def test_basic_counts_before_the_form() -> None:
    """With an Authorization header the form's credentials are not looked at."""
    form = {"client_id": "jmap-proxy", "client_secret": "s"}
    assert authentication(SECRET).client_of(form, "").confidential
    assert "client_id" in refusal(SECRET, form, "Basic b3RoZXI6cw==")


def test_a_secret_must_be_shown_and_right() -> None:
    """The id alone, or another secret, is nobody."""
    assert "none" in refusal(SECRET, {"client_id": "jmap-proxy"})
    assert "does not match" in refusal(SECRET, {"client_id": "jmap-proxy", "client_secret": "t"})


def test_a_provider_may_take_one_method_only() -> None:
    """Then the others are refused, whatever the secret."""
    settings = ProviderSettings(client_secret="s", auth_methods=("client_secret_basic",))
    assert "client_secret_post" in refusal(settings, {"client_id": "jmap-proxy", "client_secret": "s"})
    assert authentication(settings).client_of({}, "Basic am1hcC1wcm94eTpz").client_id == "jmap-proxy"


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/token", [ISSUER], ["https://other.example", ISSUER]])
def test_an_assertion_proves_who_calls(audience: object) -> None:
    """With the issuer or the token endpoint as its audience; the form need not name the client."""
    assert authentication(KEYED).client_of(assertion(aud=audience), "").client_id == "jmap-proxy"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "other"},
        {"sub": None},
        {"aud": "https://other.example"},
        {"aud": None},
        {"exp": NOW},
        {"exp": None},
        {"exp": "tomorrow"},
        {"jti": None},
        {"key": ECKey.generate_key("P-256", {"kid": str(KEY.kid)})},
        {"key": RSAKey.generate_key(2048, {"kid": str(KEY.kid)}), "alg": "RS256"},
    ],
)
def test_an_assertion_that_says_something_else_is_refused(changes: dict[str, Any]) -> None:
    """Another issuer, subject, audience, key, no end, no id: `invalid_client`."""
    form = {"client_id": "jmap-proxy", **assertion(**changes)}
    refusal(KEYED, form)


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "e30.e30.", "a.W10.c", "a.é.c"])
def test_a_malformed_assertion_is_refused(text: str) -> None:
    """Whatever it is, it is a refusal and no crash, with the client named or not."""
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": text}
    refusal(KEYED, form)
    refusal(KEYED, {**form, "client_id": "jmap-proxy"})


def test_an_assertion_is_good_once() -> None:
    """A replay is refused; the next one with an id of its own is not."""
    known = authentication(KEYED)
    known.client_of(assertion(jti="1"), "")
    with pytest.raises(GrantError, match="used before"):
        known.client_of(assertion(jti="1"), "")
    known.client_of(assertion(jti="2"), "")


async def test_each_endpoint_takes_an_assertion(idp: IdentityProvider, person: Person, http: ClientSession) -> None:
    """Token and revocation endpoint, and the metadata say so."""
    idp.settings.client_jwks = JWKS
    async with http.get(f"{idp.issuer}/.well-known/openid-configuration") as response:
        document = await response.json()
    assert document["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert "ES256" in document["token_endpoint_auth_signing_alg_values_supported"]
    _, back = await person.authorize()
    status, answer = await person.redeem(back["code"], client_id=None, **assertion(aud=idp.issuer))
    assert status == 200
    form = {"token": answer["refresh_token"], **assertion(aud=idp.issuer, jti="2")}
    async with http.post(f"{idp.issuer}/revoke", data=form) as response:
        assert response.status == 200
    assert idp.check(answer["access_token"]) is None
    assert [record.form["token"] for record in idp.revocations] == [answer["refresh_token"]]


async def test_a_confidential_client_gets_tokens_of_its_own(idp: IdentityProvider, person: Person) -> None:
    """By client credentials, without a refresh token (RFC 6749 §4.4); a public client gets none."""
    assert (await person.token(grant_type="client_credentials"))[1]["error"] == "unauthorized_client"
    idp.settings.client_secret = "s"
    idp.settings.refuse_scopes = True
    form: dict[str, Any] = {"grant_type": "client_credentials", "client_secret": "s"}
    status, answer = await person.token(**form, scope="urn:ietf:params:oauth:scope:mail")
    assert status == 200
    assert answer.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert idp.check(answer["access_token"]) == "demo"
    assert (await person.token(**form, scope="nonsense"))[1]["error"] == "invalid_scope"


async def test_another_clients_token_is_not_revoked(idp: IdentityProvider, person: Person, http: ClientSession) -> None:
    """The answer is 200 all the same, and nothing happens (RFC 7009 §2.1)."""
    answer = await person.sign_in()
    idp.settings.client_id = "other"
    for token in (answer["refresh_token"], answer["access_token"]):
        async with http.post(f"{idp.issuer}/revoke", data={"client_id": "other", "token": token}) as response:
            assert response.status == 200
    assert idp.check(answer["access_token"]) == "demo"

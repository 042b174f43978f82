from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.grants import Grant, Issued
from jmap_proxy.sandbox.signing_key import SigningKey
from jmap_proxy.sandbox.token_answer import id_claims, token_answer

ISSUER = "http://127.0.0.1:1"
ISSUED = Issued(Grant("ann", "mail"), "access", "", 4.9)


def test_what_is_not_there_is_left_out() -> None:
    """Without a refresh token and without openid there is neither one nor an ID token; life is whole seconds."""
    answer = token_answer(ISSUED, issuer=ISSUER, settings=ProviderSettings(), key=SigningKey(), now=0)
    assert answer == {"access_token": "access", "token_type": "Bearer", "expires_in": 4, "scope": "mail"}


def test_zero_is_an_answer() -> None:
    """An `expires_in` of 0 is said, not left out."""
    settings = ProviderSettings(expires_in=0)
    answer = token_answer(ISSUED, issuer=ISSUER, settings=settings, key=SigningKey(), now=0)
    assert answer["expires_in"] == 0


def test_claims_can_be_falsified() -> None:
    """An override replaces a claim."""
    settings = ProviderSettings(id_token_overrides={"iss": "https://evil.example"})
    assert id_claims(ISSUED, issuer=ISSUER, settings=settings, now=1.5)["iss"] == "https://evil.example"

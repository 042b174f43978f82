from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from jmap_proxy.errors import SignInError
from jmap_proxy.oauth.id_token import LEEWAY, check_id_token, holds_key_of

NOW = 1_800_000_000.0
CLAIMS: dict[str, Any] = {
    "iss": "https://sso.example",
    "aud": "me",
    "sub": "ann",
    "nonce": "the-nonce",
    "iat": int(NOW),
    "exp": int(NOW) + 600,
}


@cache
def rsa(name: str) -> RSAKey:
    """An RSA key that is made once."""
    return RSAKey.generate_key(2048, {"kid": name})


def signed(*, alg: str = "RS256", kid: str | None = "a", **changes: Any) -> str:
    """An ID token with claims replaced, or removed by None."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    header = {"alg": alg, **({"kid": kid} if kid else {})}
    return jwt.encode(header, claims, rsa("a"), algorithms=[alg])


def public(*names: str) -> dict[str, Any]:
    """The key set of these keys."""
    return {"keys": [rsa(name).as_dict(private=False) for name in names]}


def check(token: str, jwks: dict[str, Any] | None = None, now: float = NOW) -> dict[str, Any]:
    """Check as the client `me` at that issuer would."""
    return check_id_token(token, jwks or public("a"), issuer=CLAIMS["iss"], client_id="me", nonce="the-nonce", now=now)


def refused(token: str, jwks: dict[str, Any] | None = None, now: float = NOW) -> str:
    """Why the token does not hold; the reason repeats nothing of it."""
    with pytest.raises(SignInError) as caught:
        check(token, jwks, now)
    assert "the-nonce" not in str(caught.value)
    return str(caught.value)


def bare(header: dict[str, Any], signature: bytes = b"") -> str:
    """A token put together by hand."""
    parts = (json.dumps(header).encode(), json.dumps(CLAIMS).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def test_a_good_token_gives_its_claims() -> None:
    """Signature, issuer, audience, expiry and nonce hold."""
    assert check(signed()) == CLAIMS


def test_a_key_without_a_name_is_found_where_there_is_one_only() -> None:
    """A token without `kid` is checked with the only key for signatures."""
    other = {**rsa("b").as_dict(private=False), "use": "enc"}
    assert check(signed(kid=None), {"keys": [other, *public("a")["keys"]]})["sub"] == "ann"


def test_keys_of_unknown_kinds_are_passed_over() -> None:
    """RFC 7517 §5: what is not understood does not spoil the set."""
    strange = [{"kty": "AKP", "alg": "ML-DSA-44"}, {}, 5, None, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]
    assert check(signed(), {"keys": [*strange, *public("a")["keys"]]})["sub"] == "ann"


def test_elliptic_curves_are_known() -> None:
    """ES256 works as RS256 does."""
    key = ECKey.generate_key("P-256", {"kid": "e"})
    token = jwt.encode({"alg": "ES256", "kid": "e"}, CLAIMS, key)
    assert check(token, {"keys": [key.as_dict(private=False)]})["sub"] == "ann"


@pytest.mark.parametrize("alg", ["PS256", "RS512"])
def test_other_asymmetric_signatures_are_known(alg: str) -> None:
    """Providers choose among the RSA signatures."""
    assert check(signed(alg=alg))["sub"] == "ann"


def test_another_key_is_refused() -> None:
    """A signature by a key that is not in the set, under the name of one that is."""
    impostor = {**rsa("b").as_dict(private=False), "kid": "a"}
    assert "BadSignature" in refused(signed(), {"keys": [impostor]})
    refused(signed(), public("b"))


def test_no_signature_is_refused() -> None:
    """`alg: none` proves nothing, however it is spelled."""
    for alg in ("none", "None", "NONE"):
        refused(bare({"alg": alg}))
        refused(bare({"alg": alg, "kid": "a"}))


def test_the_public_key_is_no_secret() -> None:
    """HS256 with the public key as the shared secret (algorithm confusion)."""
    secret = OctKey.import_key(base64.urlsafe_b64encode(rsa("a").as_pem(private=False)).decode())
    token = jwt.encode({"alg": "HS256", "kid": "a"}, CLAIMS, secret)
    refused(token)
    refused(token, {"keys": [{**secret.as_dict(private=True), "kid": "a"}]})


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": "https://sso.example/"},
        {"iss": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": []},
        {"aud": None},
        {"nonce": "replayed"},
        {"nonce": None},
        {"sub": None},
        {"sub": ""},
        {"exp": None},
        {"exp": "soon"},
        {"exp": int(NOW) - LEEWAY - 1},
        {"nbf": int(NOW) + LEEWAY + 1},
        {"iat": int(NOW) + LEEWAY + 1},
        {"azp": "other"},
        {"aud": ["me", "other"]},
        {"aud": ["me", "other"], "azp": "other"},
    ],
)
def test_a_claim_that_does_not_hold_is_refused(changes: dict[str, Any]) -> None:
    """Each claim that OpenID Connect Core §3.1.3.7 wants is checked."""
    refused(signed(**changes))


@pytest.mark.parametrize("changes", [{"aud": ["me"]}, {"azp": "me"}, {"aud": ["me", "other"], "azp": "me"}])
def test_audiences_may_be_lists(changes: dict[str, Any]) -> None:
    """Several audiences hold if `azp` names this client."""
    assert check(signed(**changes))["sub"] == "ann"


def test_a_clock_may_be_a_little_off() -> None:
    """Up to the leeway, and not beyond it."""
    assert check(signed(), now=CLAIMS["exp"] + LEEWAY - 1)
    refused(signed(), now=CLAIMS["exp"] + LEEWAY + 1)


@pytest.mark.parametrize(
    "token", ["", "a.b.c", "a.b.c.d.e", "€.a.b", "..", "x", "eyJhbGciOiJSUzI1NiJ9.W10.AA", "\ud800"]
)
def test_what_is_no_token_is_refused(token: str) -> None:
    """Garbage is refused like a bad token."""
    refused(token)


@pytest.mark.parametrize("jwks", [{"keys": []}, {"keys": 5}, {"nokeys": 1}, {"keys": None}, {"keys": [{"kty": []}]}])
def test_what_is_no_key_set_is_refused(jwks: dict[str, Any]) -> None:
    """Without a usable key nothing can be checked."""
    refused(signed(), jwks)


def test_where_no_nonce_could_be_sent_none_is_asked_for() -> None:
    """The device flow has none; all else is checked as ever."""
    token = signed(nonce=None)
    claims = check_id_token(token, public("a"), issuer=CLAIMS["iss"], client_id="me", nonce=None, now=NOW)
    assert claims["sub"] == "ann"
    with pytest.raises(SignInError):
        check_id_token(token, public("a"), issuer=CLAIMS["iss"], client_id="other", nonce=None, now=NOW)


def test_whether_a_key_is_there() -> None:
    """By the name that the token says; one without a name, or that cannot be read, is left to its check."""
    assert holds_key_of(signed(), public("a"))
    assert not holds_key_of(signed(), public("b"))
    assert not holds_key_of(signed(), {"keys": ["a", None]})
    for unclear in (signed(kid=None), "", "....", "e30.x.y", bare({"kid": 5})[1:]):
        assert holds_key_of(unclear, public("b"))
    assert holds_key_of(signed(), {})

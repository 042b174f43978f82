from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from jmap_proxy.oauth.client_key import ASSERTION_LIFE, ClientKey, parse_client_key

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_800_000_000.0


@cache
def key(kind: str) -> RSAKey | ECKey | OKPKey:
    """A private key of a kind, made once."""
    if kind == "RSA":
        return RSAKey.generate_key(2048)
    return OKPKey.generate_key("Ed25519") if kind == "Ed25519" else ECKey.generate_key(kind)


def pem(kind: str) -> bytes:
    """As PEM (PKCS #8)."""
    return key(kind).as_pem(private=True)


def jwk(kind: str, **members: str) -> bytes:
    """As JSON."""
    return json.dumps({**key(kind).as_dict(private=True), **members}).encode()


def pkcs8(made: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey) -> bytes:
    """A key that no library of ours has made."""
    return made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def old_pem() -> bytes:
    """As OpenSSL 1 wrote RSA keys (PKCS #1)."""
    made = key("RSA").raw_value
    assert isinstance(made, rsa.RSAPrivateKey)
    return made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def claims_of(assertion: str, kind: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of an assertion whose signature is that of the key."""
    algorithms = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]
    token = jwt.decode(assertion, key(kind), algorithms=algorithms)
    return dict(token.header), dict(token.claims)


@pytest.mark.parametrize("form", [pem, jwk])
@pytest.mark.parametrize(("kind", "algorithm"), [("RSA", "RS256"), ("P-256", "ES256"), ("P-384", "ES384")])
def test_a_key_signs(kind: str, algorithm: str, form: Callable[[str], bytes]) -> None:
    """In both forms, with what is usual for its kind; the claims are those of RFC 7523 §3."""
    made = parse_client_key(form(kind)).assertion("me", "https://sso.example", (), now=NOW, unique="once")
    header, claims = claims_of(made, kind)
    assert header["alg"] == algorithm
    assert claims == {
        "iss": "me",
        "sub": "me",
        "aud": "https://sso.example",
        "iat": int(NOW),
        "exp": int(NOW) + ASSERTION_LIFE,
        "jti": "once",
    }


def test_the_old_form_of_rsa_is_read() -> None:
    """Many files still have it."""
    assert parse_client_key(old_pem()).algorithms[0] == "RS256"


@pytest.mark.parametrize(
    ("kind", "offered", "algorithm"),
    [
        ("RSA", ("ES256", "PS256"), "PS256"),
        ("RSA", ("ES256",), "RS256"),
        ("Ed25519", (), "EdDSA"),
        ("Ed25519", ("RS256", "Ed25519"), "Ed25519"),
    ],
)
def test_the_provider_chooses_the_algorithm(kind: str, offered: tuple[str, ...], algorithm: str) -> None:
    """Of those that the key can do; a provider that names none of them may take the usual one."""
    assert parse_client_key(pem(kind)).algorithm(offered) == algorithm


def test_the_old_name_of_an_algorithm_is_no_warning() -> None:
    """It is the provider's to choose; users would see it at each refresh."""
    assert parse_client_key(pem("Ed25519")).assertion("me", "i", ("EdDSA",), now=NOW, unique="x").count(".") == 2


def test_a_jwk_says_its_name_and_its_algorithm() -> None:
    """`kid` is told, since a provider may have several keys; `alg` counts more than what the provider would take."""
    made = parse_client_key(jwk("RSA", kid="mine", alg="PS256"))
    header, _ = claims_of(made.assertion("me", "i", ("RS256",), now=NOW, unique="x"), "RSA")
    assert (header["kid"], header["alg"]) == ("mine", "PS256")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "no private key"),
        (b"\xff\x00", "no private key"),
        (b"s3cret", "no private key"),
        (b"{", "no private key"),
        (b'{"kty": "RSA"}', "no private key"),
        (b"[" * 10**5, "no private key"),
        (b'{"a":' * 10**5, "no private key"),
        (b'{"kty": "oct", "k": "eI3eMCcr1NfS-7wFq4F3iJVuobN3ki5NYyVNLIIJF2E"}', "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n", "no private key"),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----\n", "encrypted"),
        (key("RSA").as_pem(private=False), "no private key"),
        (json.dumps(key("P-256").as_dict(private=False)).encode(), "public key"),
        (json.dumps({**key("RSA").as_dict(private=True), "alg": "HS256"}).encode(), "no client can sign"),
        (pkcs8(rsa.generate_private_key(65537, 1024)), "no client can sign"),  # noqa: S505 - that is the point
        (pkcs8(ec.generate_private_key(ec.SECP256K1())), "no client can sign"),
        (pkcs8(x25519.X25519PrivateKey.generate()), "no client can sign"),
    ],
)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_what_is_no_key_is_told(raw: bytes, told: str) -> None:
    """Without a word of what stands in the file."""
    with pytest.raises(ValueError, match=told) as caught:
        parse_client_key(raw)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_key_is_not_shown() -> None:
    """The repr has neither it nor its numbers."""
    made = parse_client_key(jwk("P-256", kid="mine"))
    assert repr(made) == "ClientKey(key_id='mine', algorithms=('ES256',))"
    assert isinstance(made, ClientKey)

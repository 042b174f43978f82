"""The local certificate authority and the certificate for https, as X.509 (RFC 5280). Pure but for random numbers.

The authority is name-constrained: whoever steals its key can speak for this machine's names, and for nobody else's.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
AUTHORITY_DAYS = 3652
LEAF_DAYS = 90
RENEW_DAYS = 30
"""A certificate with fewer days left is renewed."""

BACKDATED = dt.timedelta(days=1)
"""For clients whose clock is behind."""

PEM = serialization.Encoding.PEM
_SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


class CertificateError(ValueError):
    """The bytes are no certificate or key of ours; the message says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)


def make_authority(names: Iterable[str], now: float) -> Issued:
    """A new authority that can sign for these names and addresses alone.

    Args:
        names: Host names and addresses besides this machine's own.
        now: Epoch seconds.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _name(f"jmap-proxy local authority {subject_key.digest[:4].hex()}")  # the old one may be trusted beside it
    permitted = [_subtree(each) for each in all_names(names)]
    builder = (
        _unsigned(name, name, key.public_key(), now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(permitted, excluded_subtrees=None), critical=True)
        .add_extension(_SERVER, critical=False)  # system stores would trust it for code and mail, too
        .add_extension(subject_key, critical=False)
    )
    return Issued(builder.sign(key, hashes.SHA256()), key)


def issue(authority: Issued, key: ec.EllipticCurvePrivateKey, names: Iterable[str], now: float) -> x509.Certificate:
    """A certificate for a server with these names and addresses besides this machine's own.

    Args:
        authority: Signs it; its constraints are not looked at here (see `is_permitted`).
        key: The server's.
        names: Host names and addresses.
        now: Epoch seconds.
    """
    issuer = authority.certificate
    builder = (
        _unsigned(_name("jmap-proxy"), issuer.subject, key.public_key(), now, LEAF_DAYS, issuer.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(_SERVER, critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in all_names(names)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    return builder.sign(authority.key, hashes.SHA256())


def is_permitted(authority: x509.Certificate, names: Iterable[str]) -> bool:
    """Whether the authority can sign for all these names and this machine's own."""
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    return {_subtree(each) for each in all_names(names)} <= set(constraints.permitted_subtrees or ())


def is_for(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    """Whether a server's certificate holds all these names and this machine's own."""
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {_general_name(each) for each in all_names(names)} <= set(held)


def days_left(certificate: x509.Certificate, now: float) -> float:
    """Days until it ends; `now` in epoch seconds."""
    return (certificate.not_valid_after_utc.timestamp() - now) / 86400


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256, as the platforms' tools show it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def all_names(names: Iterable[str]) -> list[str]:
    """This machine's own names, then the given ones: lower case, without brackets, each once."""
    return list(dict.fromkeys([*LOCAL_NAMES, *(name.lower().strip("[]") for name in names)]))


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """As a file holds it."""
    return certificate.public_bytes(PEM)


def key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """PKCS #8, encrypted where there is a passphrase."""
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, locked)


def parse_certificate(pem: bytes) -> x509.Certificate:
    """The certificate of such a file. Raises CertificateError."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (ValueError, x509.ExtensionNotFound):
        raise CertificateError("it holds no certificate") from None
    return certificate


def parse_key(pem: bytes, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey:
    """The key of such a file. Raises CertificateError."""
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError("it holds no key, or one encrypted with another data key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("it holds a key of another kind")
    return key


def belong_together(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    """Whether the certificate is for this key."""
    return certificate.public_key() == key.public_key()


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether that authority has issued it."""
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - a wrong name, key or signature: each has its own type
        return False
    return True


def _unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: float,
    days: int,
    end: dt.datetime | None = None,
) -> x509.CertificateBuilder:
    moment = dt.datetime.fromtimestamp(now, dt.UTC).replace(microsecond=0)
    wanted_end = moment + dt.timedelta(days=days)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - BACKDATED)
        .not_valid_after(min(wanted_end, end or wanted_end))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _subtree(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(name))  # the one address
    except ValueError:
        return x509.DNSName(name)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )

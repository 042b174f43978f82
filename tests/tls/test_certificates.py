import datetime as dt
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.tls.certificates import (
    AUTHORITY_DAYS,
    LEAF_DAYS,
    CertificateError,
    Issued,
    all_names,
    belong_together,
    certificate_pem,
    days_left,
    fingerprint,
    is_for,
    is_permitted,
    is_signed_by,
    issue,
    key_pem,
    make_authority,
    parse_certificate,
    parse_key,
)
from jmap_proxy.tls.contexts import client_context, server_context
from tests.support.certificates import shake_hands

NOW = dt.datetime.now(dt.UTC).timestamp()
"""OpenSSL looks at the machine's clock."""

DAY = 86400.0


@pytest.fixture(scope="module")
def authority() -> Issued:
    """Give an authority that may sign for one further name and one further address."""
    return make_authority(["Mail.Lan", "192.168.1.2"], NOW)


def connect(folder: Path, authority: Issued, names: list[str], host: str) -> ssl.SSLObject:
    """The handshake of a client that trusts this authority alone with a server that has a certificate of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(certificate_pem(authority.certificate))
    (folder / "cert.pem").write_bytes(certificate_pem(issue(authority, key, names, NOW)))
    (folder / "key.pem").write_bytes(key_pem(key))
    client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    return shake_hands(client, server_context(str(folder / "cert.pem"), str(folder / "key.pem")), host)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "mail.lan", "192.168.1.2"])
def test_clients_that_trust_the_authority_trust_its_certificate(tmp_path: Path, authority: Issued, host: str) -> None:
    """For all names of this machine and of listen.hosts, by OpenSSL's strictest rules."""
    assert connect(tmp_path, authority, ["mail.lan", "192.168.1.2"], host).version() == "TLSv1.3"


@pytest.mark.parametrize("host", ["evil.example", "mail.lan.evil.example", "192.168.1.3", "::2", "lan"])
def test_a_stolen_authority_speaks_for_nobody_else(tmp_path: Path, authority: Issued, host: str) -> None:
    """A certificate for another name that it signs is refused, because of the name constraints."""
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        connect(tmp_path, authority, [host], host)


def test_a_stolen_certificate_signs_nothing(tmp_path: Path, authority: Issued) -> None:
    """It is no authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    below = Issued(issue(authority, key, [], NOW), key)
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ca.pem").write_bytes(certificate_pem(authority.certificate))
    chain = certificate_pem(issue(below, leaf_key, [], NOW)) + certificate_pem(below.certificate)
    (tmp_path / "cert.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(key_pem(leaf_key))
    server = server_context(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client_context(str(tmp_path / "ca.pem")), server, "localhost")


def test_the_authority_is_bound(authority: Issued) -> None:
    """RFC 5280: constraints and basic constraints are critical, no authority below it, for servers alone."""
    extensions = authority.certificate.extensions
    constraints = extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees is not None
    assert [str(each.value) for each in constraints.value.permitted_subtrees] == [
        "localhost",
        "127.0.0.1/32",
        "::1/128",
        "mail.lan",
        "192.168.1.2/32",
    ]
    basic = extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert (basic.value.ca, basic.value.path_length) == (True, 0)
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.digital_signature) == (True, False)
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_how_long_they_last() -> None:
    """The authority ten years, a certificate ninety days, but never longer than its authority."""
    authority = make_authority([], NOW)
    key = ec.generate_private_key(ec.SECP256R1())
    assert days_left(authority.certificate, NOW) == pytest.approx(AUTHORITY_DAYS, abs=0.001)
    assert days_left(issue(authority, key, [], NOW), NOW) == pytest.approx(LEAF_DAYS, abs=0.001)
    late = issue(authority, key, [], NOW + (AUTHORITY_DAYS - 10) * DAY)
    assert late.not_valid_after_utc == authority.certificate.not_valid_after_utc
    assert days_left(late, NOW + AUTHORITY_DAYS * DAY + 1) < 0


def test_which_names_an_authority_and_a_certificate_have(authority: Issued) -> None:
    """Further names need to be held; fewer are no matter."""
    leaf = issue(authority, authority.key, ["mail.lan"], NOW)
    assert is_permitted(authority.certificate, ["MAIL.lan", "192.168.1.2"])
    assert is_permitted(authority.certificate, [])
    assert not is_permitted(authority.certificate, ["mail.lan", "other.lan"])
    assert is_for(leaf, ["Mail.Lan"])
    assert is_for(leaf, [])
    assert not is_for(leaf, ["192.168.1.2"])


def test_who_has_signed(authority: Issued) -> None:
    """Another authority has not, even for the same key."""
    leaf = issue(authority, authority.key, [], NOW)
    assert is_signed_by(leaf, authority.certificate)
    assert not is_signed_by(leaf, make_authority([], NOW).certificate)
    assert belong_together(leaf, authority.key)
    assert not belong_together(leaf, ec.generate_private_key(ec.SECP256R1()))


def test_two_authorities_can_be_told_apart() -> None:
    """By their names, in a store that trusts both; and by what `cert` prints."""
    one, other = make_authority([], NOW).certificate, make_authority([], NOW).certificate
    assert one.subject != other.subject
    assert fingerprint(one) != fingerprint(other)
    assert len(fingerprint(one).split(":")) == 32


def test_what_is_written_can_be_read(authority: Issued) -> None:
    """The key with its passphrase alone."""
    assert parse_certificate(certificate_pem(authority.certificate)) == authority.certificate
    locked = key_pem(authority.key, b"secret")
    assert locked.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert belong_together(authority.certificate, parse_key(locked, b"secret"))
    for passphrase in (None, b"wrong"):
        with pytest.raises(CertificateError, match="another data key"):
            parse_key(locked, passphrase)


def test_nothing_secret_is_shown(authority: Issued) -> None:
    """A key is not in a repr."""
    assert "key" not in repr(authority)


@given(pem=st.binary() | st.binary().map(lambda inner: b"-----BEGIN CERTIFICATE-----\n" + inner))
def test_no_bytes_cause_another_error(pem: bytes) -> None:
    """Whatever the files hold."""
    for parse in (parse_certificate, parse_key):
        with pytest.raises(CertificateError):
            parse(pem)


def test_a_key_of_another_kind_is_told() -> None:
    """What somebody else has put there."""
    key = rsa.generate_private_key(65537, 2048)
    with pytest.raises(CertificateError, match="another kind"):
        parse_key(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_each_name_stands_once() -> None:
    """Lower case, without brackets, this machine's own first."""
    assert all_names(["LOCALHOST", "[fd00::2]", "a", "A"]) == ["localhost", "127.0.0.1", "::1", "fd00::2", "a"]

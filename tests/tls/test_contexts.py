import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from jmap_proxy.errors import ConfigError
from jmap_proxy.tls.contexts import client_context, load_certificate, server_context
from tests.support.certificates import shake_hands


def make_certificate(folder: Path, name: str, passphrase: bytes = b"") -> tuple[str, str]:
    """Write a self-signed certificate for `name` and its key; return the two files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    cert_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    cert_file.write_bytes(certificate.public_bytes(pem))
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked))
    return str(cert_file), str(key_file)


def test_a_server_is_verified_by_its_own_authority(tmp_path: Path) -> None:
    """With the ca_file the handshake succeeds, with TLS 1.2 or newer and HTTP/1.1."""
    cert_file, key_file = make_certificate(tmp_path, "mail.test")
    client = client_context(cert_file)
    client.set_alpn_protocols(["h2", "http/1.1"])
    connection = shake_hands(client, server_context(cert_file, key_file), "mail.test")
    assert connection.version() in ("TLSv1.2", "TLSv1.3")
    assert connection.selected_alpn_protocol() == "http/1.1"


def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    """Without the ca_file a private certificate is not trusted."""
    server = server_context(*make_certificate(tmp_path, "mail.test"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client_context(), server, "mail.test")


def test_another_name_is_refused(tmp_path: Path) -> None:
    """The host name is verified."""
    cert_file, key_file = make_certificate(tmp_path, "mail.test")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client_context(cert_file), server_context(cert_file, key_file), "evil.test")


def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A missing file, one without certificates, an impossible path and an unknown home."""
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    for ca_file in (str(tmp_path / "none.pem"), str(empty), str(tmp_path), "a\0b", "~no-such-user/ca.pem"):
        with pytest.raises(ConfigError, match="ca_file: ") as caught:
            client_context(ca_file)
        assert caught.value.hint == "name a PEM file"


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Missing files, a key of another certificate, and a key with a passphrase, which is not asked for."""
    cert_file, _ = make_certificate(tmp_path, "mail.test")
    _, other_key = make_certificate(tmp_path, "other.test")
    _, locked_key = make_certificate(tmp_path, "locked.test", b"passphrase")
    for key_file in (str(tmp_path / "none"), other_key, locked_key, "~no-such-user/key"):
        with pytest.raises(ConfigError, match=r"listen\.cert_file and listen\.key_file: ") as caught:
            server_context(cert_file, key_file)
        assert "without a passphrase" in caught.value.hint


def test_a_certificate_is_changed_while_serving(tmp_path: Path) -> None:
    """The next handshake shows it; a connection that is open keeps the one that it was shown."""
    old, new = make_certificate(tmp_path, "old.test"), make_certificate(tmp_path, "new.test")
    server = server_context(*old)
    first = shake_hands(client_context(old[0]), server, "old.test")
    load_certificate(server, *new)
    second = shake_hands(client_context(new[0]), server, "new.test")
    assert [each.getpeercert()["subject"] for each in (first, second)] == [  # type: ignore[index]
        ((("commonName", name),),) for name in ("old.test", "new.test")
    ]

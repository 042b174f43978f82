"""Where the local authority and the certificate for https are kept, and when they are made anew.

ca.pem is the authority, which clients are told to trust, ca-key.pem its key (PKCS #8, encrypted under the data key);
cert.pem is the certificate for https, key.pem its key.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from jmap_proxy import files
from jmap_proxy.errors import ConfigError, StoreError
from jmap_proxy.locks import file_lock
from jmap_proxy.tls.certificates import (
    RENEW_DAYS,
    CertificateError,
    Issued,
    belong_together,
    certificate_pem,
    days_left,
    is_for,
    is_permitted,
    is_signed_by,
    issue,
    key_pem,
    make_authority,
    parse_certificate,
    parse_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from cryptography import x509

    from jmap_proxy.tokens.datakey import DataKey
    from jmap_proxy.tokens.keychain import DataKeys

LOCK_PATIENCE = 10.0
DATA_KEY = b"Data-Key: "

ANEW = "run: jmap-proxy cert --new-ca, and let the clients trust the new authority"


@dataclass(frozen=True, slots=True)
class Made:
    """What `jmap-proxy cert` has made.

    Attributes:
        authority: The authority's certificate.
        leaf: The certificate for https.
        why_new: Why the authority is a new one, "" where it is the one that there was.
    """

    authority: x509.Certificate
    leaf: x509.Certificate
    why_new: str


class CertificateFolder:
    """The certificates in a folder of their own. All methods block.

    Args:
        folder: Made where it is missing, 0700.
        data_keys: The current one encrypts the authority's key.
        clock: Epoch seconds.
    """

    def __init__(self, folder: Path, data_keys: DataKeys, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._data_keys = data_keys
        self._clock = clock
        self.authority_file = folder / "ca.pem"
        self.certificate_file = folder / "cert.pem"
        self.key_file = folder / "key.pem"
        self._authority_key_file = folder / "ca-key.pem"

    @property
    def has_certificate(self) -> bool:
        """Whether there is one for https that can be shown, for the right names and in time or not."""
        return self._leaf() is not None

    def make(self, names: Sequence[str], *, new_authority: bool = False) -> Made:
        """Make a certificate for https, and the authority where there is none that will do.

        Args:
            names: Host names and addresses besides this machine's own.
            new_authority: Make a new authority in any case.

        Raises:
            StoreError: the folder or a file in it cannot be used.
        """
        files.private_folder(self._folder)
        with self._locked():
            why = "it was asked for" if new_authority else self._why_new(names)
            if why:
                authority = make_authority(names, self._clock())
                self._write_authority_key(authority.key, self._data_keys.current())
                files.write_durably(self.authority_file, certificate_pem(authority.certificate))
                files.write_durably(self.key_file, key_pem(_new_key()))
            else:
                authority = self._authority()
            return Made(authority.certificate, self._issue(authority, names), why)

    def renew(self, names: Sequence[str]) -> bool:
        """Renew the certificate for https if it ends soon, or does not hold a name; the authority stays.

        Returns:
            Whether there is a new one.

        Raises:
            ConfigError: there is no authority, or it cannot sign for one of the names.
            StoreError: a file cannot be used.
        """
        if not self._folder.exists():
            raise ConfigError("listen.https: there is no certificate yet", hint="run: jmap-proxy cert")
        with self._locked():
            if self._is_good(names):
                return False
            authority = self._authority()
            if not is_permitted(authority.certificate, names):
                raise ConfigError(
                    "listen.hosts: the local authority may not sign for all these names",
                    hint="run: jmap-proxy cert, which makes a new authority, and let the clients trust that",
                )
            if days_left(authority.certificate, self._clock()) < RENEW_DAYS:  # and so the certificate: it ends with it
                raise StoreError(f"{self.authority_file}: the local authority ends soon, or has ended", hint=ANEW)
            self._issue(authority, names)
            return True

    def encrypt_anew(self, data_key: DataKey) -> str:
        """Encrypt the authority's key under another data key; why not, "" if it is. Raises StoreError."""
        if not self._authority_key_file.exists():
            return ""
        with self._locked():
            try:
                key = self._read_authority_key()
            except StoreError as error:
                return error.detail
            if key is not None:
                self._write_authority_key(key, data_key)
            return ""

    def _read_authority_key(self) -> ec.EllipticCurvePrivateKey | None:
        raw = files.read_private(self._authority_key_file)
        if raw is None:
            return None
        key_id = raw.partition(b"\n")[0].removeprefix(DATA_KEY).decode("ascii", "replace")
        data_key = self._data_keys.find(key_id)
        if data_key is None:
            raise StoreError(f"{self._authority_key_file}: its data key {key_id[:16]} is nowhere", hint=ANEW)
        return self._read_key(self._authority_key_file, _passphrase(data_key))

    def _write_authority_key(self, key: ec.EllipticCurvePrivateKey, data_key: DataKey) -> None:
        """PKCS #8; the line before it, which PEM allows (RFC 7468 §2), names the data key."""
        head = DATA_KEY + data_key.key_id.encode() + b"\n"
        files.write_durably(self._authority_key_file, head + key_pem(key, _passphrase(data_key)))

    def _why_new(self, names: Sequence[str]) -> str:
        authority = self._read_certificate(self.authority_file)
        if authority is None:
            return "there was none"
        if not is_permitted(authority, names):
            return "the old one may not sign for all of listen.hosts"
        if days_left(authority, self._clock()) < RENEW_DAYS:
            return "the old one ends soon"
        return ""

    def _is_good(self, names: Sequence[str]) -> bool:
        authority, leaf = self._read_certificate(self.authority_file), self._leaf()
        return (
            authority is not None
            and leaf is not None
            and is_signed_by(leaf, authority)
            and is_for(leaf, names)
            and days_left(leaf, self._clock()) >= RENEW_DAYS
        )

    def _leaf(self) -> x509.Certificate | None:
        """The certificate for https; None where it or its key is missing or damaged: it can be made anew."""
        try:
            leaf, key = self._read_certificate(self.certificate_file), self._read_key(self.key_file)
        except StoreError:
            return None
        return leaf if leaf is not None and key is not None and belong_together(leaf, key) else None

    def _authority(self) -> Issued:
        certificate = self._read_certificate(self.authority_file)
        if certificate is None:
            raise ConfigError("listen.https: there is no certificate yet", hint="run: jmap-proxy cert")
        key = self._read_authority_key()
        if key is None or not belong_together(certificate, key):
            raise StoreError(f"{self._authority_key_file} does not belong to {self.authority_file}", hint=ANEW)
        return Issued(certificate, key)

    def _issue(self, authority: Issued, names: Sequence[str]) -> x509.Certificate:
        """The key stays: so cert.pem alone changes, and no server ever reads half a pair."""
        try:
            key = self._read_key(self.key_file)
        except StoreError:
            key = None
        if key is None:
            key = _new_key()
            files.write_durably(self.key_file, key_pem(key))
        leaf = issue(authority, key, names, self._clock())
        files.write_durably(self.certificate_file, certificate_pem(leaf))
        return leaf

    def _read_certificate(self, path: Path) -> x509.Certificate | None:
        raw = files.read_private(path)
        try:
            return None if raw is None else parse_certificate(raw)
        except CertificateError as error:
            raise StoreError(f"{path}: {error}", hint=ANEW) from None

    def _read_key(self, path: Path, passphrase: bytes | None = None) -> ec.EllipticCurvePrivateKey | None:
        raw = files.read_private(path)
        try:
            return None if raw is None else parse_key(raw, passphrase)
        except CertificateError as error:
            raise StoreError(f"{path}: {error}", hint=ANEW) from None

    def _locked(self) -> AbstractContextManager[None]:
        return file_lock(self._folder / "lock", LOCK_PATIENCE)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _passphrase(data_key: DataKey) -> bytes:
    """A secret for this purpose alone; nothing of the data key can be learnt from it."""
    return hmac.digest(data_key.secret, b"jmap-proxy local authority", hashlib.sha256).hex().encode()

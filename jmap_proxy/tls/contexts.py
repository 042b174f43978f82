"""TLS contexts: verified towards servers, with the user's certificate towards clients."""

from __future__ import annotations

import ssl
from pathlib import Path

from jmap_proxy.errors import ConfigError


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """Verifies certificates and host names; `ca_file` (PEM) is trusted besides the system's authorities.

    Raises:
        ConfigError: the file cannot be read.
    """
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(Path(ca_file).expanduser())
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no such home folder
            raise ConfigError(f"ca_file: {ca_file}: {_reason(error)}", hint="name a PEM file") from None
    return context


def server_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    """Shows the certificate (PEM chain) with its key (PEM), TLS 1.2 or newer.

    Raises:
        ConfigError: a file cannot be read, or the two do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, cert_file, key_file)
    return context


def load_certificate(context: ssl.SSLContext, cert_file: str, key_file: str) -> None:
    """Let the context show another certificate (PEM chain, PEM key) from the next handshake on.

    Raises:
        ConfigError: as `server_context`; the context may then hold half of the pair.
    """
    try:
        context.load_cert_chain(Path(cert_file).expanduser(), Path(key_file).expanduser(), password=_no_password)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"listen.cert_file and listen.key_file: {cert_file}, {key_file}: {_reason(error)}",
            hint="name a PEM certificate chain and its key, without a passphrase",
        ) from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _no_password() -> str:
    raise ValueError("the key has a passphrase")  # else OpenSSL would ask on the terminal

"""What a failed TLS handshake means, and what mends it. Pure."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from jmap_proxy.doctor.finding import Finding, error

if TYPE_CHECKING:
    from jmap_proxy.origins import Origin

# Numbers of OpenSSL's verification errors (x509_vfy.h).
NOT_YET, ENDED = 9, 10
UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})
"""Self-signed, alone or at the end of a chain; issuer not found, or not sent."""
OTHER_NAME = frozenset({62, 64})
"""Of a host, of an address."""

TOO_OLD = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE"})
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})


def judge_handshake(trouble: ssl.SSLError, origin: Origin, key: str, account: str) -> Finding:
    """The finding for a handshake that failed.

    Args:
        trouble: How it failed.
        origin: Whom it was with.
        key: The config key that names it.
        account: Whose.
    """
    operator = f"ask whoever runs {origin.host}"
    if isinstance(trouble, ssl.SSLCertVerificationError):
        return _certificate(trouble.verify_code, trouble.verify_message, origin, key, account)
    reason = getattr(trouble, "reason", None) or type(trouble).__name__  # an end in the middle has none
    if reason in TOO_OLD:
        return error("tls-too-old", f"{origin} speaks no TLS 1.2 or newer", f"{operator} for that", account)
    if reason in NO_TLS:
        return error("tls-missing", f"{origin} speaks no TLS at that port", f"set {key} to its https URL", account)
    what = f"the TLS handshake with {origin} fails ({reason})"
    return error("tls-fails", what, f"{operator}, or see what stands between (a firewall, a proxy)", account)


def _certificate(code: int, message: str, origin: Origin, key: str, account: str) -> Finding:
    if code == ENDED:
        what = f"the certificate of {origin} has expired"
        return error("tls-expired", what, f"ask whoever runs {origin.host} to renew it", account)
    if code == NOT_YET:
        what = f"the certificate of {origin} is not valid yet"
        return error("tls-not-yet-valid", what, "see whether this machine's clock is right", account)
    if code in OTHER_NAME:
        what = f"the certificate of {origin} is for another name"
        return error("tls-wrong-name", what, f"set {key} to the name that it is for", account)
    if code in UNKNOWN_ISSUER:
        what = f"the certificate of {origin} is of an authority that this machine does not know"
        mend = f"if the authority is your own, name its certificate (PEM) as accounts.{account}.ca_file"
        return error("tls-unknown-ca", what, mend, account)
    what = f"the certificate of {origin} is not good: {message}"
    return error("tls-fails", what, f"ask whoever runs {origin.host}", account)

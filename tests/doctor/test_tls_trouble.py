from __future__ import annotations

import ssl

import pytest

from jmap_proxy.doctor.tls_trouble import judge_handshake
from jmap_proxy.origins import Origin

ORIGIN = Origin("https", "mail.example.com", 443)


def _certificate(code: int, message: str = "") -> ssl.SSLCertVerificationError:
    trouble = ssl.SSLCertVerificationError()
    trouble.verify_code, trouble.verify_message = code, message
    return trouble


def _handshake(reason: str) -> ssl.SSLError:
    trouble = ssl.SSLError()
    trouble.reason = reason
    return trouble


@pytest.mark.parametrize(
    ("trouble", "code", "mend"),
    [
        (_certificate(10), "tls-expired", "ask whoever runs mail.example.com to renew it"),
        (_certificate(9), "tls-not-yet-valid", "see whether this machine's clock is right"),
        (_certificate(62), "tls-wrong-name", "set accounts.alice.server to the name that it is for"),
        (_certificate(18), "tls-unknown-ca", "accounts.alice.ca_file"),
        (_certificate(23, "revoked"), "tls-fails", "ask whoever runs mail.example.com"),
        (_handshake("UNSUPPORTED_PROTOCOL"), "tls-too-old", "ask whoever runs mail.example.com"),
        (_handshake("WRONG_VERSION_NUMBER"), "tls-missing", "accounts.alice.server"),
        (_handshake("HANDSHAKE_FAILURE"), "tls-fails", "a firewall, a proxy"),
        (ssl.SSLEOFError(), "tls-fails", "a firewall, a proxy"),
    ],
)
def test_each_failure_has_its_name_and_mend(trouble: ssl.SSLError, code: str, mend: str) -> None:
    """By OpenSSL's numbers and reasons."""
    finding = judge_handshake(trouble, ORIGIN, "accounts.alice.server", "alice")
    assert (finding.code, finding.account) == (code, "alice")
    assert mend in finding.mend

"""The certificate that https shows to clients. Blocks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from jmap_proxy.doctor.finding import Finding, error, ok, warning
from jmap_proxy.errors import ConfigError
from jmap_proxy.tls.certificates import days_left, is_for
from jmap_proxy.tls.contexts import server_context

if TYPE_CHECKING:
    from jmap_proxy.doctor.installation import Installation

SOON = 14.0
"""Days before the end; a running proxy renews its own certificate 30 days before."""

OWN = "run: jmap-proxy cert"


def look_at_certificate(installation: Installation, wrong: frozenset[Path]) -> list[Finding]:
    """Look at the certificate of listen.https, if that is on; nothing is said of files that are `wrong` already."""
    listen = installation.config.listen
    is_own = not listen.cert_file
    cert_file, key_file = listen.cert_file, listen.key_file
    if is_own:
        cert_file, key_file = str(installation.tls / "cert.pem"), str(installation.tls / "key.pem")
    if not listen.https or {Path(cert_file), Path(key_file), installation.tls} & wrong:
        return []
    if is_own and not Path(cert_file).exists():
        return [error("certificate-missing", "listen.https is on, but there is no certificate yet", OWN)]
    try:
        server_context(cert_file, key_file)
        certificate = x509.load_pem_x509_certificate(Path(cert_file).expanduser().read_bytes())
    except (ConfigError, ValueError, OSError) as trouble:
        mend = OWN if is_own else "name a PEM certificate chain and its key as listen.cert_file and listen.key_file"
        what = trouble.detail if isinstance(trouble, ConfigError) else f"{cert_file}: {type(trouble).__name__}"
        return [error("certificate-unusable", what, mend)]
    hosts = listen.hosts if is_own else None
    return [judge_certificate(certificate, hosts, installation.clock())]


def judge_certificate(certificate: x509.Certificate, hosts: tuple[str, ...] | None, now: float) -> Finding:
    """What there is to say of a certificate that can be shown. Pure.

    Args:
        certificate: For https.
        hosts: listen.hosts, if the certificate is the program's own; None for the user's.
        now: Epoch seconds.
    """
    mend = "renew listen.cert_file" if hosts is None else OWN
    left = days_left(certificate, now)
    if left <= 0:
        return error("certificate-expired", f"the certificate for https ended {-left:.0f} days ago", mend)
    if hosts is not None and not is_for(certificate, hosts):
        what = "the certificate for https does not hold all names of listen.hosts"
        return error("certificate-wrong-name", what, mend)
    if left < SOON:
        return warning("certificate-ends-soon", f"the certificate for https ends in {left:.0f} days", mend)
    return ok("certificate", f"{left:.0f} days left")

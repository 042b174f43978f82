"""The JMAP Session, asked for as the proxy asks for it, with the stored token and without renewing that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.doctor.finding import Finding, error, ok, warning
from jmap_proxy.errors import (
    JmapProxyError,
    UpstreamBusy,
    UpstreamMalformed,
    UpstreamOriginRefused,
    UpstreamRefusedToken,
    UpstreamSessionRefused,
    UpstreamSlow,
)

if TYPE_CHECKING:
    from jmap_proxy.proxy.forwarding import Plane
    from jmap_proxy.proxy.session.session import Session


async def examine_session(name: str, plane: Plane) -> list[Finding]:
    """Ask for the Session, and judge it or the error."""
    try:
        return judge_session(name, await plane.sessions.fetch())
    except JmapProxyError as trouble:
        return [judge_refusal(name, trouble)]


def judge_session(name: str, session: Session) -> list[Finding]:
    """What there is to say of a Session that came. Pure."""
    if not session.mail_account:
        what = "the server's Session has no accounts: it does not know whose token this is"
        mend = f"compare accounts.{name}.scopes and .resource with what the server wants; jmap-proxy login {name}"
        return [error("session-without-accounts", what, mend, name)]
    if session.dropped:
        mend = f'add the origin to accounts.{name}.upstream_origins if you trust it, or set its rewrite = "force"'
        return [warning("capability-left-out", "; ".join(session.dropped), mend, name)]
    return [ok("session", f"of {session.username}" if session.username else "as it should be", name)]


def judge_refusal(name: str, trouble: JmapProxyError) -> Finding:
    """What an error says that came instead of a Session. Pure."""
    where = f"accounts.{name}"
    if isinstance(trouble, UpstreamRefusedToken):
        mend = f"compare {where}.scopes, .resource and .issuer with what the server wants; jmap-proxy login {name}"
        return error("token-refused", trouble.detail, mend, name)
    if isinstance(trouble, UpstreamSessionRefused) and trouble.forbidden:
        mend = f"ask for the right to use JMAP, or for what {where}.scopes lacks, then run: jmap-proxy login {name}"
        return error("session-forbidden", trouble.detail, mend, name)
    if isinstance(trouble, UpstreamOriginRefused):
        return error("origin-not-allowed", trouble.detail, trouble.hint, name)
    if isinstance(trouble, UpstreamMalformed):
        mend = f"set {where}.server to the base URL or the Session URL of a JMAP server"
        return error("session-malformed", trouble.detail, mend, name)
    if isinstance(trouble, UpstreamBusy | UpstreamSlow):
        return warning("server-busy", trouble.detail, f"try again later; else ask whoever runs {where}.server", name)
    return error("session-fails", trouble.detail, trouble.hint or f"check {where}.server", name)

"""How an account's sign-in stands, by what is stored and by what a running proxy tells. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.config import DEFAULT_SCOPES
from jmap_proxy.doctor.finding import Finding, error, info, ok, warning
from jmap_proxy.tokens.losses import likely_cause, likely_end
from jmap_proxy.tokens.report import State
from jmap_proxy.tokens.standing import clock_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jmap_proxy.config import Account
    from jmap_proxy.doctor.stored import Stored
    from jmap_proxy.tokens.losses import Loss
    from jmap_proxy.tokens.report import TokenReport
    from jmap_proxy.tokens.tokenset import TokenSet

OFFLINE = "offline_access"
"""The scope that asks for a refresh token (OpenID Connect Core §11)."""

IN_FLIGHT = 60.0
"""Seconds in which a refresh may just be under way."""


def judge_sign_in(name: str, account: Account, stored: Stored, live: TokenReport | None, now: float) -> list[Finding]:
    """What there is to say of an account's sign-in, but for its scopes.

    Args:
        name: The account.
        account: Its configuration.
        stored: What is stored of it.
        live: What a running proxy tells of it, None if none does.
        now: Epoch seconds.
    """
    if stored.unreadable:
        return []
    login = f"run: jmap-proxy login {name}"
    tokens = stored.tokens
    if tokens is None:
        return [error("not-signed-in", "the account is not signed in", login, name)]
    findings = [*_client(name, account, tokens, now)] or [*_end(name, stored, live, tokens, now)]
    if findings:
        return findings
    findings = [*_trouble(name, stored, live, now), *_habit(name, stored.losses, tokens, now)]
    if now >= tokens.expires_at:
        what = f"the access token ended at {clock_time(tokens.expires_at)}; the next request has it renewed"
        findings.append(info("token-ended", what, f"to renew it now, run: jmap-proxy token {name}", name))
    return findings or [ok("sign-in", "signed in", name)]


def judge_scopes(name: str, account: Account, tokens: TokenSet, offered: Sequence[str] | None) -> list[Finding]:
    """Whether the provider gave what was asked for.

    Args:
        name: The account.
        account: Its configuration.
        tokens: As they are stored.
        offered: The provider's `scopes_supported`, None or empty if it does not say.
    """
    granted = set(tokens.scope.split())
    if not tokens.renewable:
        return [_without_refresh_token(name, account, offered)]
    asked = set(account.scopes or ()) - {OFFLINE}  # a refresh token is what that one stands for
    if tokens.subject:
        asked.discard("openid")  # so is an ID token
    if granted and asked - granted:
        what = f"asked for, but not granted: {' '.join(sorted(asked - granted))} (granted: {tokens.scope})"
        mend = f"compare accounts.{name}.scopes with what the provider offers, then run: jmap-proxy login {name}"
        return [warning("scopes-narrowed", what, mend, name)]
    return [ok("scopes", tokens.scope or "as asked for", name)]


def _without_refresh_token(name: str, account: Account, offered: Sequence[str] | None) -> Finding:
    what = "the provider gave no refresh token, so the sign-in ends with its access token"
    if offered and OFFLINE not in offered:
        mend = f"ask whoever runs the provider how to get one, set accounts.{name}.scopes, then jmap-proxy login {name}"
        return warning("no-offline-access", f"{what}; it does not offer {OFFLINE}", mend, name)
    scopes = DEFAULT_SCOPES if account.scopes is None else account.scopes
    if OFFLINE in scopes:
        mend = f"let the provider allow {OFFLINE} to this client, then run: jmap-proxy login {name}"
    else:
        mend = f'add "{OFFLINE}" to accounts.{name}.scopes, then run: jmap-proxy login {name}'
    return warning("no-refresh-token", what, mend, name)


def _client(name: str, account: Account, tokens: TokenSet, now: float) -> Iterator[Finding]:
    """Whether the tokens are those of the provider and the client that the configuration names."""
    login = f"run: jmap-proxy login {name}"
    if account.issuer and account.issuer != tokens.issuer:
        what = f"the tokens are of issuer {tokens.issuer!r}, the configuration names {account.issuer!r}"
        yield error("other-issuer", what, f"set accounts.{name}.issuer back, or {login}", name)
    elif account.client_id and account.client_id != tokens.client_id:
        what = f"the tokens were given to client {tokens.client_id!r}, the configuration names {account.client_id!r}"
        yield error("other-client", what, f"set accounts.{name}.client_id back, or {login}", name)
    elif (registration := tokens.registration) and 0 < registration.client_secret_expires_at <= now:
        ended = clock_time(registration.client_secret_expires_at)
        yield error("registration-ended", f"the client's registration at the provider ended at {ended}", login, name)


def _end(name: str, stored: Stored, live: TokenReport | None, tokens: TokenSet, now: float) -> Iterator[Finding]:
    """Whether only a new sign-in helps."""
    login = f"run: jmap-proxy login {name}"
    cause = likely_cause(stored.losses)
    told_by_proxy = live is not None and live.state is State.NEEDS_LOGIN
    known_loss = any(loss.signed_in_at == tokens.signed_in_at != 0 for loss in stored.losses)
    if told_by_proxy or known_loss:
        reason = live.last_error if live is not None and told_by_proxy else ""
        what = "; ".join(filter(None, ("the provider has ended the sign-in", reason, cause)))
        yield error("sign-in-lost", what, login, name)
    elif not tokens.renewable and now >= tokens.expires_at:
        what = f"the sign-in ended at {clock_time(tokens.expires_at)}, and there is no refresh token to renew it"
        yield error("sign-in-ended", what, f"{login}; with {OFFLINE!r} in accounts.{name}.scopes it lasts longer", name)


def _trouble(name: str, stored: Stored, live: TokenReport | None, now: float) -> Iterator[Finding]:
    """What goes wrong, or went wrong, with renewing."""
    state = State.OK if live is None else live.state
    reason = f": {live.last_error}" if live is not None and live.last_error else ""
    attempt = stored.attempt
    lost = attempt is not None and not 0 <= now - attempt.asked_at < IN_FLIGHT
    if state is State.CLIENT_REFUSED and stored.tokens is not None and stored.tokens.registration is not None:
        mend = f"run: jmap-proxy login {name}"
        yield error("client-refused", f"the provider does not accept the client that registered{reason}", mend, name)
    elif state is State.CLIENT_REFUSED:
        keys = ", ".join(f"accounts.{name}.{key}" for key in ("client_id", "client_secret_file", "scopes", "resource"))
        mend = f"compare with the provider's settings: {keys}"
        yield error("client-refused", f"the provider does not accept the client{reason}", mend, name)
    elif lost or (live is not None and live.answer_lost):
        what = "the answer to a refresh was lost, so the refresh token may be spent"
        mend = f"it is tried again by itself; if that fails, run: jmap-proxy login {name}"
        yield warning("answer-lost", what, mend, name)
    elif state is State.RETRYING:
        mend = f"it is tried again by itself; see whether the provider of accounts.{name}.issuer is well"
        yield warning("provider-fails", f"the last refresh failed{reason}", mend, name)
    elif state is State.UNSAVED:
        mend = "see that the state folder can be written to and has room; stop the proxy only after that"
        yield error("tokens-unsaved", f"the latest tokens are in the proxy's memory only{reason}", mend, name)
    elif state is State.STORE_ERROR:
        mend = "run jmap-proxy serve as this user, with the same keyring or credential, or restart it"
        yield error("proxy-cannot-read", f"the proxy cannot read tokens that can be read here{reason}", mend, name)


def _habit(name: str, losses: Sequence[Loss], tokens: TokenSet, now: float) -> Iterator[Finding]:
    """What lost sign-ins have in common, and what that means for the present one."""
    if cause := likely_cause(losses):
        end = likely_end(losses, tokens.signed_in_at, now)
        when = f"; the present one is likely to end at {clock_time(end)}" if end else ""
        mend = f"change that in the provider's settings of the app, or in time run: jmap-proxy login {name}"
        yield warning("sign-in-ends-regularly", f"{cause}{when}", mend, name)

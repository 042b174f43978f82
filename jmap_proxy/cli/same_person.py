"""Whether a new sign-in is the same person's as the one before. Pure.

At a terminal the user says who it shall be. Whoever begins a sign-in from the status page is known by nothing, so that
one can only renew what is there: else another program of this machine could put its own grant in the place of the
user's, who would then write mail into somebody else's account.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from jmap_proxy.errors import SignInError, WrongPerson

if TYPE_CHECKING:
    from jmap_proxy.tokens import TokenSet


def check_known(account: str, before: TokenSet | None) -> TokenSet:
    """See that it is known who has signed in before. Returns that sign-in.

    Raises:
        SignInError: it is not, so nothing can be compared.
    """
    login = f"run: jmap-proxy login {shlex.quote(account)}"
    if before is None:
        raise SignInError(f"{account} is not signed in, so nobody can tell who it should be", hint=login)
    if not (before.subject or before.username):
        raise SignInError(f"nothing is known of the user who has signed in to {account} before", hint=login)
    return before


def check_same_person(before: TokenSet | None, now: TokenSet) -> None:
    """See that the new sign-in is the same person's.

    `iss` and `sub` together name a person (OpenID Connect Core §5.7). Where one of the two sign-ins came without an ID
    token, or from another provider, the user name counts that the server has told.

    Raises:
        SignInError: that cannot be told.
        WrongPerson: it is another one's.
    """
    if now.grant_type == "client_credentials":
        return  # nobody signs in: it is the client that the configuration names
    before = check_known(now.account, before)
    if before.issuer == now.issuer and before.subject and now.subject:
        same = before.subject == now.subject
    else:
        same = bool(before.username) and before.username == now.username
    if not same:
        who = f"that of {now.username!a}, and not" if now.username else "not known to be"
        raise WrongPerson(
            f"the sign-in is {who} the same person's as before",
            hint="sign out at the provider and try again; if it shall be another one, run: "
            f"jmap-proxy login {shlex.quote(now.account)}",
        )

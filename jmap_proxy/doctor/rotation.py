"""Whether the account's settings fit what its provider does with refresh tokens, as far as that is known. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.doctor.finding import Finding, info, ok, warning
from jmap_proxy.presets import preset_for, presets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jmap_proxy.config import Account
    from jmap_proxy.tokens.tokenset import TokenSet


def judge_rotation(name: str, account: Account, tokens: TokenSet) -> list[Finding]:
    """What there is to say of the replay policy, and of the preset that would know it.

    Args:
        name: The account.
        account: Its configuration.
        tokens: As they are stored; they know whether the provider was seen to rotate.
    """
    return [*_replay(name, account, tokens), *_preset(name, account)]


def _replay(name: str, account: Account, tokens: TokenSet) -> Iterator[Finding]:
    if not tokens.refresh_token:
        return  # there is nothing to rotate
    known = presets().get(account.preset or preset_for(account.server_origin.host))
    # only of a preset with hosts is the provider known too
    if account.replay == "grace" and known and known.hosts and known.account.get("replay") == "strict":
        what = f"replay is grace, but {known.title} ends the sign-in when a refresh token is used twice"
        yield warning("replay-too-bold", what, f'set accounts.{name}.replay = "strict"', name)
    elif tokens.rotation == "yes":
        yield ok("rotation", f"the provider gives new refresh tokens, replay is {account.replay}", name)
    else:
        seen = "the provider keeps the refresh token" if tokens.rotation == "no" else "no refresh was seen yet"
        yield ok("rotation", seen, name)


def _preset(name: str, account: Account) -> Iterator[Finding]:
    """A server that is known, with settings of its own that the account does not have."""
    fitting = preset_for(account.server_origin.host)
    if not fitting or account.preset:
        return
    known = {key: value for key, value in presets()[fitting].account.items() if key != "server"}
    others = [key for key, value in known.items() if _differs(getattr(account, key), value)]
    if others:
        what = f"this is a server of {presets()[fitting].title}, of which other settings are known: {', '.join(others)}"
        mend = f'set accounts.{name}.preset = "{fitting}"; what the account sets itself stays'
        yield info("preset-fits", what, mend, name)


def _differs(mine: object, known: object) -> bool:
    """Whether a key has another value than a preset's, which is as TOML has it."""
    return mine != (tuple(known) if isinstance(known, list) else known)

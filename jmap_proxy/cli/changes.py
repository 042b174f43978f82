"""What a running proxy can take over from another configuration, and what that changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from jmap_proxy.config import Config

WHOLE = frozenset({"accounts", "listen"})
"""Sections that can be taken over at any time."""

AT_ONCE = frozenset({"limits.upload_replay", "limits.body_idle", "hooks.on_sign_in_needed"})
"""Keys of the other sections that can; what else stands there is built into what is running."""

ADDRESSES = ("http", "https", "admin", "unix")


@dataclass(frozen=True, slots=True)
class Changes:
    """How one configuration differs from the one before.

    Attributes:
        new: Accounts that are only in the later one.
        gone: Accounts that are only in the earlier one.
        changed: Accounts of which any setting differs.
        same: All other accounts.
        addresses: Keys of listeners whose address differs.
    """

    new: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[str, ...]
    same: tuple[str, ...]
    addresses: tuple[str, ...]


def compare(before: Config, after: Config) -> Changes:
    """What has changed from one configuration to the other."""
    both = [name for name in after.accounts if name in before.accounts]
    was, shall = _addresses(before), _addresses(after)
    return Changes(
        new=tuple(name for name in after.accounts if name not in before.accounts),
        gone=tuple(name for name in before.accounts if name not in after.accounts),
        changed=tuple(name for name in both if before.accounts[name] != after.accounts[name]),
        same=tuple(name for name in both if before.accounts[name] == after.accounts[name]),
        addresses=tuple(key for key in sorted(was.keys() | shall.keys()) if was.get(key, "") != shall.get(key, "")),
    )


def in_force(running: Config, wanted: Config) -> tuple[Config, list[str]]:
    """The configuration that a proxy can have that runs with another one, and the keys whose change needs a restart."""
    sections: dict[str, msgspec.Struct] = {}
    late: list[str] = []
    for section in (name for name in wanted.__struct_fields__ if name not in WHOLE):
        was, shall = getattr(running, section), getattr(wanted, section)
        kept = {
            key: getattr(was, key)
            for key in was.__struct_fields__
            if getattr(was, key) != getattr(shall, key) and f"{section}.{key}" not in AT_ONCE
        }
        sections[section] = msgspec.structs.replace(shall, **kept)
        late += [f"{section}.{key}" for key in kept]
    return msgspec.structs.replace(wanted, **sections), late


def _addresses(config: Config) -> dict[str, str]:
    shared = {f"listen.{key}": getattr(config.listen, key) for key in ADDRESSES}
    return shared | {f"accounts.{name}.listen": account.listen for name, account in config.accounts.items()}

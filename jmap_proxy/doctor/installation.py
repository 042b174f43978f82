"""What the doctor looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from jmap_proxy.config import Account, Config
    from jmap_proxy.proxy.forwarding import Plane
    from jmap_proxy.proxy.source import TokenSource
    from jmap_proxy.tokens.keychain import DataKeys

LIMIT = 5.0
"""Seconds that one look may take."""


@dataclass(frozen=True, slots=True)
class Installation:
    """A configuration, its state folder and the machine around them.

    Attributes:
        config: As it was read.
        config_file: Where it stands.
        accounts: Names of those that are looked at; all of them are in `config`.
        state: Folder of the tokens and keys.
        data_keys: What the store is encrypted with.
        environment: Of this process.
        plane: What the proxy would ask an account's server by, with tokens of this source; may raise ConfigError.
        clock: Epoch seconds.
        limit: Seconds that one look may take.
    """

    config: Config
    config_file: Path
    accounts: tuple[str, ...]
    state: Path
    data_keys: DataKeys
    environment: Mapping[str, str]
    plane: Callable[[str, TokenSource], Awaitable[Plane]]
    clock: Callable[[], float]
    limit: float = LIMIT

    @property
    def examined(self) -> dict[str, Account]:
        """The accounts that are looked at."""
        return {name: self.config.accounts[name] for name in self.accounts}

    @property
    def tokens(self) -> Path:
        """Folder of the token files."""
        return self.state / "tokens"

    @property
    def tls(self) -> Path:
        """Folder of the local authority and its certificate."""
        return self.state / "tls"

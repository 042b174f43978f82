"""The accounts of a running proxy: made, exchanged and closed while it goes on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.keepalive import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from jmap_proxy.cli.assembly import Assembly
    from jmap_proxy.config import Config
    from jmap_proxy.proxy.forwarding import Plane
    from jmap_proxy.tokens import TokenRefresher
    from jmap_proxy.tokens.report import TokenReport

TOKEN_SHARE = 7 / 8
"""Of the time for a first byte that a request waits for its token, so that it is told of the right culprit."""


@dataclass(frozen=True, slots=True)
class Served:
    """An account's parts.

    Attributes:
        refresher: Its tokens.
        plane: Forwards its requests.
        token_file: Where its tokens are stored.
        maker: Made the parts, and closes them.
    """

    refresher: TokenRefresher
    plane: Plane
    token_file: Path
    maker: Assembly


class Accounts:
    """The accounts that are served now.

    Args:
        assembly: Makes the parts.

    Attributes:
        planes: By account.
        refreshers: By token file.
        idle: By account, with the seconds that it may be idle.
    """

    def __init__(self, assembly: Assembly) -> None:
        self.planes: dict[str, Plane] = {}
        self.refreshers: dict[Path, TokenRefresher] = {}
        self.idle: dict[str, tuple[TokenRefresher, float]] = {}
        self._assembly = assembly
        self._served: dict[str, Served] = {}
        self._names: dict[Path, str] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    def reports(self) -> dict[str, TokenReport]:
        """How each account is doing."""
        return {name: served.refresher.report() for name, served in self._served.items()}

    def name_of(self, token_file: Path) -> str:
        """The account whose tokens are in that file."""
        return self._names[token_file]

    def token_files(self, names: Iterable[str]) -> list[Path]:
        """Where the tokens of these accounts are stored."""
        return [self._assembly.store(name).path for name in names]

    def check_saved(self, names: Iterable[str]) -> None:
        """See that nothing of these accounts would be lost if others took up what is stored.

        Raises:
            StoreError: the latest tokens of one are in memory only; the stored refresh token may be spent.
        """
        for name in names:
            if name in self._served and self._served[name].refresher.has_unsaved:
                raise StoreError(
                    f"accounts.{name} has changed while its latest tokens could not be saved",
                    hint="see that the state folder can be written to, wait for /readyz to say ok, then send SIGHUP",
                )

    async def make(self, config: Config, names: Iterable[str]) -> dict[str, Served]:
        """Make the parts of these accounts, one after the other: it is work for the processor, and little for the disk.

        Raises:
            ConfigError: a file of an account cannot be used; nothing is left open.
        """
        made: dict[str, Served] = {}
        try:
            for name in names:
                made[name] = await self._make(config, name)
        except BaseException:
            await close(made.values())
            raise
        return made

    def exchange(self, config: Config, made: dict[str, Served]) -> None:
        """Serve the accounts of that configuration from now on, with new parts where some were made.

        Parts that are not used any more are closed when their last request has ended.
        """
        before = self._served
        self._served = {name: made.get(name) or before[name] for name in config.accounts}
        self.planes.clear()
        self.planes.update({name: served.plane for name, served in self._served.items()})
        self.refreshers.clear()
        self.refreshers.update({served.token_file: served.refresher for served in self._served.values()})
        self.idle.clear()
        for name, account in config.accounts.items():
            self.idle[name] = self._served[name].refresher, account.keep_alive * DAY
        self._names = {served.token_file: name for name, served in self._served.items()}
        for name, served in before.items():
            if self._served.get(name) is not served:
                task = asyncio.create_task(self._retire(served), name=f"close {name}")
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all parts; to be called when there are no requests any more."""
        self._ending.set()
        await asyncio.gather(*self._closing, close(self._served.values()))

    async def _make(self, config: Config, name: str) -> Served:
        maker = self._assembly.branch(config)
        try:
            refresher = await maker.refresher(name, patience=TOKEN_SHARE * config.limits.first_byte)
            plane = await maker.plane(name, refresher)
        except BaseException:
            await maker.close()
            raise
        return Served(refresher, plane, maker.store(name).path, maker)

    async def _retire(self, served: Served) -> None:
        """Close parts after their last request, and after the disk has taken their last tokens; at the end at once."""
        await served.plane.uses.over()
        saved, ending = (asyncio.ensure_future(each) for each in (served.refresher.wait_saved(), self._ending.wait()))
        await asyncio.wait((saved, ending), return_when=asyncio.FIRST_COMPLETED)
        for each in (saved, ending):
            each.cancel()
        await served.maker.close()


async def close(parts: Iterable[Served]) -> None:
    """Close parts that nobody uses."""
    await asyncio.gather(*(served.maker.close() for served in parts))

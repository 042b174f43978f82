"""The listeners of a running proxy: where they are bound, who may come in by each, and how they end together."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.activation import OF_ACCOUNT, close_sockets
from jmap_proxy.addresses import check_reach, parse_address
from jmap_proxy.cli.opening import Opened, Opening
from jmap_proxy.errors import AddressTaken, ConfigError
from jmap_proxy.origins import Origin, parse_origin
from jmap_proxy.proxy.door.door import Door
from jmap_proxy.proxy.listener.listener import Listener
from jmap_proxy.unix_socket import unix_socket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from pathlib import Path

    from aiohttp import web

    from jmap_proxy.activation import Inherited
    from jmap_proxy.addresses import Address
    from jmap_proxy.cli.opening import Listening
    from jmap_proxy.config import Config, Limits
    from jmap_proxy.proxy.fast.lane import Lane

    Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

ROOT = 0

NOT_OURS = (errno.EADDRNOTAVAIL, None)
"""How an error tells that the address is none of this machine; None: asyncio of Python 3.13."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way in.

    Attributes:
        name: As an inherited socket is named, for example "http".
        key: The config key.
        text: Its value, "host:port" or "".
        answer: Answers the requests.
        patience: Seconds that requests in flight get to finish at the end.
        tls: For https, None for plain http.
        open_account: The account that needs no key here, "" for none.
        path: Of the Unix socket, None for TCP.
        lane: Begins requests in the fast way, None for no such way.
    """

    name: str
    key: str
    text: str
    answer: Answer
    patience: float
    tls: ssl.SSLContext | None = None
    open_account: str = ""
    path: Path | None = None
    lane: Lane | None = None

    def is_at(self, other: Way) -> bool:
        """Whether a listener that was opened for the other way can be this way's."""
        return (self.text, self.path, self.tls) == (other.text, other.path, other.tls)

    def check_reach(self, hosts: Iterable[str]) -> None:
        """See that it may be reached at these addresses, whatever their name says. Raises ConfigError."""
        for host in hosts:
            check_reach(self.key, host, encrypted=bool(self.tls), open_account=self.open_account)


def listener_of(way: Way, limits: Limits) -> Listening:
    """What answers for itself. Pure."""
    return Listener(way.answer, tls=way.tls, patience=way.patience, head=limits.head, connections=limits.connections)


class Listeners:
    """The listeners that are open.

    Args:
        limits: Of the configuration.
        inherited: Sockets of a service manager; where there is one for a listener, it is used instead of the
            configured address. They are closed with the listeners.
        make: Makes a listener.
    """

    def __init__(
        self, limits: Limits, inherited: Inherited, make: Callable[[Way, Limits], Listening] = listener_of
    ) -> None:
        self._limits = limits
        self._inherited = dict(inherited)
        self._handed: Inherited = {}
        self._make = make
        self._opened: dict[str, Opened] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def shown(self) -> dict[str, str]:
        """Where is listened, as an origin or a path, by the ways' names."""
        return {name: opened.shown for name, opened in self._opened.items()}

    async def open(self, ways: Iterable[Way], handed: Inherited | None = None) -> Opening:
        """Start to listen where nobody listens yet. What is open goes on as it is.

        Args:
            ways: All that are to be open.
            handed: Sockets to listen on instead of opening some. Those that are not needed are closed.

        Raises:
            ConfigError: at one it cannot be listened on, or it reaches further than it may; nothing new is open then.
        """
        opening = Opening([self._placed(way) for way in ways])
        self._handed = dict(handed or {})
        try:
            for way in opening.ways:
                there = self._opened.get(way.name)
                if there is not None and way.is_at(there.way):
                    way.check_reach(there.hosts)
                elif way.text or way.path or way.name in {*self._inherited, *self._handed}:
                    gated = dataclasses.replace(way, answer=opening.gate(way.answer))
                    opening.opened[way.name] = await self._open(gated)
        except BaseException:
            await opening.close()
            raise
        finally:
            close_sockets(self._handed)
        return opening

    def after(self, opening: Opening) -> dict[str, Listening]:
        """The listeners that will be open, by the ways' names."""
        return {name: opened.listener for name, opened in self._after(opening).items()}

    def take(self, opening: Opening) -> None:
        """Let these ways be the open ones. Listeners that stay keep their connections; the others are closed.

        Requests in flight by a listener that is closed get their time to finish.
        """
        before, self._opened = self._opened, self._after(opening)
        for way in opening.ways:
            if way.name in self._opened:
                self._opened[way.name].listener.serve(way.answer, way.lane)
        opening.take()
        for name, opened in before.items():
            if self._opened.get(name) is not opened:
                self._inherited.pop(name, None)
                task = asyncio.create_task(opened.close(), name=f"close {opened.shown}")
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Stop listening; requests in flight get their time to finish."""
        await asyncio.gather(*self._closing, *(opened.close() for opened in self._opened.values()))
        close_sockets(self._inherited)

    def _after(self, opening: Opening) -> dict[str, Opened]:
        opened = dict(opening.opened)
        for way in opening.ways:
            there = self._opened.get(way.name)
            if way.name not in opened and there is not None and way.is_at(there.way):
                opened[way.name] = there
        return opened

    def _placed(self, way: Way) -> Way:
        """An inherited socket stays, whatever address the configuration names."""
        return dataclasses.replace(way, text="", path=None) if way.name in self._inherited else way

    async def _open(self, way: Way) -> Opened:
        listener = self._make(way, self._limits)
        files = ExitStack()
        try:
            shown, hosts = await self._listen(way, listener, files)
        except BaseException:
            await listener.close()
            files.close()
            raise
        return Opened(way, shown, hosts, listener, files)

    async def _listen(self, way: Way, listener: Listening, files: ExitStack) -> tuple[str, Sequence[str]]:
        """The origin or path, and the addresses."""
        if sockets := self._inherited.get(way.name) or self._handed.pop(way.name, None):
            return await _adopt(way, listener, sockets)
        if way.path is not None:
            await listener.open_socket(await asyncio.to_thread(files.enter_context, unix_socket(way.path)))
            return str(way.path), ()
        address = parse_address(way.key, way.text)
        if address is None:
            raise ValueError(f"{way.key} is off")
        try:
            port, hosts = await _bind(way, listener, address)
        except (OSError, UnicodeError) as error:  # the latter: a host that no IDNA knows
            kind = AddressTaken if isinstance(error, OSError) and error.errno == errno.EADDRINUSE else ConfigError
            raise kind(
                f"{way.key}: cannot listen on {way.text}: {_reason(error)}",
                hint="see whether another jmap-proxy is running, or choose another port",
            ) from None
        return str(Origin(_scheme(way), address.host, port)), hosts


async def _adopt(way: Way, listener: Listening, sockets: Sequence[socket.socket]) -> tuple[str, Sequence[str]]:
    names = [each.getsockname() for each in sockets]
    if sockets[0].family == socket.AF_UNIX:
        shown, hosts = str(names[0]), list[str]()
    else:
        shown, hosts = str(Origin(_scheme(way), names[0][0], names[0][1])), [name[0] for name in names]
    dataclasses.replace(way, key=f"the socket handed down as {way.name!r}").check_reach(hosts)
    for each in sockets:
        await listener.open_socket(each)
    return shown, hosts


async def _bind(way: Way, listener: Listening, address: Address) -> tuple[int, Sequence[str]]:
    """The port and the addresses; a name is listened on at all of its own, and each is looked at, whatever it says."""
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    hosts = list(dict.fromkeys(str(each[4][0]) for each in found))
    way.check_reach(hosts)
    failure: OSError | None = None
    port = 0
    for host in hosts:
        try:
            port = parse_origin(await listener.open(host, port or address.port)).port
        except OSError as error:
            if error.errno not in NOT_OURS:  # a name can have an address that this machine has not, as ::1
                raise
            failure = error
    if not port and failure is not None:
        raise failure
    return port, hosts


def _reason(error: OSError | UnicodeError) -> str:
    """Why; the text that asyncio gives to an error of the system names the address once more."""
    if isinstance(error, UnicodeError):
        return "no name of a host"
    if isinstance(error, socket.gaierror):
        return error.strerror or "no such host"
    return os.strerror(error.errno or errno.EADDRNOTAVAIL)


def shared_door(config: Config, account_of: Callable[[str], str | None]) -> Door:
    """Who may come in by the shared http and https listeners. Pure."""
    return Door(
        account_of=account_of,
        open_account=next(iter(config.open_accounts), ""),
        names=frozenset(name.lower().strip("[]") for name in config.listen.hosts),
        web_origins=config.listen.allowed_web_origins,
    )


def own_door(config: Config, name: str, shared: Door) -> Door:
    """Who may come in by an account's own port: whoever has its key, or anybody where it needs none. Pure."""
    needs_none = config.accounts[name].local_auth == "none"
    return dataclasses.replace(shared, only=name, open_account=name if needs_none else "")


def unix_door(config: Config, shared: Door) -> Door:
    """Who may come in by the Unix socket: programs of our user and of root.

    Their user id stands for the key of the only account, where there is but one.
    """
    only = next(iter(config.accounts)) if len(config.accounts) == 1 else ""
    peers = frozenset({os.geteuid(), ROOT})
    return dataclasses.replace(shared, peers=peers, open_account=shared.open_account or only)


def own_way(config: Config, name: str, answer: Answer, lane: Lane | None = None) -> Way:
    """The way in by an account's own port. Pure."""
    account = config.accounts[name]
    open_account = name if account.local_auth == "none" else ""
    key = f"accounts.{name}.listen"
    patience = config.limits.shutdown
    return Way(OF_ACCOUNT + name, key, account.listen, answer, patience, open_account=open_account, lane=lane)


def _scheme(way: Way) -> str:
    return "https" if way.tls else "http"

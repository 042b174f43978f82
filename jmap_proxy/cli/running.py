"""The proxy while it runs: its accounts and listeners, how they are exchanged, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import structlog

from jmap_proxy import files
from jmap_proxy.activation import OF_ACCOUNT, SHARED
from jmap_proxy.cli.accounts import Accounts, close
from jmap_proxy.cli.certificate import ServedCertificate
from jmap_proxy.cli.changes import compare, in_force
from jmap_proxy.cli.listeners import Listeners, Way, own_door, own_way, shared_door, unix_door
from jmap_proxy.cli.role import Role
from jmap_proxy.cli.signing_in import by_browser, sign_in
from jmap_proxy.cli.ways import by_client_credentials
from jmap_proxy.errors import ConfigError, StoreError
from jmap_proxy.proxy.forwarding import Bounds
from jmap_proxy.proxy.handler import Handler
from jmap_proxy.status.health import AdminHandler
from jmap_proxy.status.sign_in_again import SignInAgain
from jmap_proxy.status.status_page import StatusPage
from jmap_proxy.tokens.keepalive import KeepAlive
from jmap_proxy.tokens.watch import INTERVAL, StoreWatch

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from jmap_proxy.activation import Inherited
    from jmap_proxy.cli.assembly import Assembly
    from jmap_proxy.cli.changes import Changes
    from jmap_proxy.config import Config

ADMIN_PATIENCE = 1.0

LEFTOVER = 60.0
"""Seconds after which a temporary file has nobody who is still writing it."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger("jmap_proxy.cli")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the proxy listens, as origins; "" where a listener is off.

    Attributes:
        http: For all accounts.
        https: For all accounts.
        admin: Health and readiness.
        unix: Path of the Unix socket.
        own: Of the accounts that have a port of their own, by account.
    """

    http: str
    https: str
    admin: str
    unix: str = ""
    own: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def running_proxy(assembly: Assembly, inherited: Inherited | None = None) -> AsyncIterator[Addresses]:
    """As `reloadable_proxy`, for those who will not change its configuration."""
    async with reloadable_proxy(assembly, inherited) as proxy:
        yield proxy.addresses


@asynccontextmanager
async def reloadable_proxy(
    assembly: Assembly, inherited: Inherited | None = None, role: Role | None = None
) -> AsyncIterator[RunningProxy]:
    """Serve all accounts while the context is open; then let the requests in flight finish.

    Args:
        assembly: Makes the parts.
        inherited: Sockets of a service manager, used instead of the configured addresses.
        role: What this process does of it, all where it is not given.

    Raises:
        ConfigError: an address cannot be listened on, or a file of an account cannot be read.
        StoreError: a file of the state folder cannot be used.
    """
    proxy = RunningProxy(assembly, inherited or {}, role)
    await asyncio.to_thread(_tidy, assembly)
    try:
        await proxy.take_up(assembly.config)
        yield proxy
    finally:
        await proxy.close()


class RunningProxy:
    """The proxy while it runs. Its start is no more than its first configuration.

    Args:
        assembly: Makes the parts.
        inherited: Sockets of a service manager.
        role: What this process does of it, all where it is not given.
    """

    def __init__(self, assembly: Assembly, inherited: Inherited, role: Role | None = None) -> None:
        config = assembly.config
        self._role = role = role or Role()
        self._assembly = assembly
        self._has_https = "https" in inherited
        self._config = msgspec.structs.replace(config, accounts={})
        self._accounts = Accounts(assembly)
        self._handler = Handler(self._accounts.planes, _bounds(assembly, config), assembly.traffic)
        self._sign_in_again = SignInAgain(self._sign_in_from_page, assembly.clock)
        clock, traffic = assembly.clock, assembly.traffic
        reports, streams = role.reports(self._accounts.reports), role.streams(self._handler.open_streams)
        page = StatusPage(reports, self._servers, self._sign_in_again, traffic, clock)
        self._admin = role.admin(AdminHandler(reports, clock, traffic, streams, page.pages()))
        self._listeners = Listeners(config.limits, inherited, role.listener)
        self._certificate = ServedCertificate(assembly.certificates)
        self._watch = StoreWatch(
            self._accounts.refreshers, ended=lambda path: self._handler.end_streams(self._accounts.name_of(path))
        )
        self._keep_alive = KeepAlive(self._accounts.idle, assembly.clock)
        self._background: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()

    @property
    def addresses(self) -> Addresses:
        """Where it listens now."""
        shown = self._listeners.shown
        return Addresses(
            **{name: shown.get(name, "") for name in SHARED},
            own={name.removeprefix(OF_ACCOUNT): at for name, at in shown.items() if name.startswith(OF_ACCOUNT)},
        )

    async def take_up(self, wanted: Config, handed: Inherited | None = None) -> None:
        """Go on with this configuration. Nothing is dropped that it leaves as it is: connections, tokens, streams.

        Args:
            wanted: The configuration.
            handed: Sockets to listen on instead of opening some.

        Raises:
            ConfigError, StoreError: it cannot be; all goes on as before.
        """
        async with self._reloading:
            config, late = in_force(self._config, wanted)
            changes = compare(self._config, config)
            to_make = (*changes.new, *changes.changed)
            seen = await self._watch.identities(self._accounts.token_files(to_make))
            async with AsyncExitStack() as undo:
                made = await self._accounts.make(config, to_make)
                undo.push_async_callback(close, made.values())
                shows_https = self._has_https or bool(config.listen.https) or "https" in (handed or {})
                certificate = await self._certificate.prepare(config.listen) if shows_https else None
                ways = self._ways(config, certificate and certificate[1].context)
                opening = await self._listeners.open(ways, handed)
                undo.push_async_callback(opening.close)
                self._accounts.check_saved(changes.changed)
                await self._role.agree(config, self._listeners.after(opening))
                undo.pop_all()
            # from here on nothing can fail, and nothing is waited for: no request sees a half of it
            self._accounts.exchange(config, made)
            self._watch.expect(seen)
            self._certificate.take(certificate)
            self._listeners.take(opening)
            self._handler.bounds = _bounds(self._assembly, config)
            self._assembly.hook.command = config.hooks.on_sign_in_needed
            for name in (*changes.gone, *changes.changed):
                self._handler.end_streams(name)
                self._sign_in_again.forget(name)
            if not self._background:
                self._background = [
                    asyncio.create_task(self._watch.run(), name="token files"),
                    asyncio.create_task(self._watch_keys(), name="local keys"),
                ]
                if self._role.is_first:
                    self._background.append(asyncio.create_task(self._keep_alive.run(), name="idle accounts"))
            elif self._role.is_first:
                _log_changes(changes, late)
            self._config = config

    async def close(self) -> None:
        """Stop listening, let the requests in flight finish, and close all parts."""
        for task in self._background:
            task.cancel()
        self._certificate.close()
        self._handler.end_streams()
        await asyncio.gather(self._listeners.close(), self._role.close())
        await self._sign_in_again.close()
        await self._accounts.close()

    def end_revoked(self) -> None:
        """End the streams whose local key has been renewed or removed; a damaged file takes no key away."""
        with contextlib.suppress(StoreError):
            self._handler.end_streams_without(self._assembly.local_keys.digests())

    async def _watch_keys(self) -> None:
        """Look each second, also when nothing has changed: a stream may open after its key has gone."""
        while True:
            self.end_revoked()
            await asyncio.sleep(INTERVAL)

    def _servers(self) -> dict[str, str]:
        return {name: account.server for name, account in self._config.accounts.items()}

    async def _sign_in_from_page(self, name: str, show_url: Callable[[str], None]) -> str:
        """Sign an account in again, and go on with its new tokens at once. Returns the user name."""
        user = self._config.account(name).sign_in == "user"
        flow = by_browser(show_url) if user else by_client_credentials
        async with self._assembly.branch(self._config) as branch:
            signed_in = await sign_in(branch, name, flow, again=True)
        await self._watch.look()
        return signed_in.username

    def _ways(self, config: Config, tls: ssl.SSLContext | None) -> list[Way]:
        listen, patience = config.listen, config.limits.shutdown
        door = shared_door(config, self._assembly.local_keys.account_of)
        unix = unix_door(config, door)
        at, lane = self._handler.at, self._handler.lane
        open_account, fast = door.open_account, lane(door)
        path = unix_path(self._assembly.state, listen.unix)
        ways = [
            Way("http", "listen.http", listen.http, at(door), patience, None, open_account, lane=fast),
            Way("https", "listen.https", listen.https, at(door), patience, tls, open_account, lane=fast),
            Way("admin", "listen.admin", listen.admin, self._admin, ADMIN_PATIENCE),
            Way("unix", "listen.unix", "", at(unix), patience, path=path, lane=lane(unix)),
        ]
        doors = {name: own_door(config, name, door) for name in config.accounts}
        own = (own_way(config, name, at(each), lane(each)) for name, each in doors.items())
        return [way for way in (*ways, *own) if self._role.is_first or way.name != "admin"]


def _tidy(assembly: Assembly) -> None:
    """Remove what writers that were killed have left behind."""
    for folder in (assembly.state, assembly.state / "tokens", assembly.state / "tls"):
        files.remove_leftovers(folder, time.time() - LEFTOVER)


def _bounds(assembly: Assembly, config: Config) -> Bounds:
    return Bounds(config.limits.upload_replay, config.limits.body_idle, spool_folder=str(assembly.state))


def unix_path(state: Path, text: str) -> Path | None:
    """A relative path is in the state folder, the one folder that a confined service may write to."""
    try:
        return state / Path(text).expanduser() if text else None
    except RuntimeError:
        raise ConfigError(f"listen.unix: {text}: there is no such home folder", hint="name it absolutely") from None


def _log_changes(changes: Changes, late: Sequence[str]) -> None:
    log.info(
        "configuration taken up",
        new=changes.new,
        gone=changes.gone,
        changed=changes.changed,
        same=len(changes.same),
        addresses=changes.addresses,
    )
    if late:
        log.warning("some settings need a restart to be taken up", keys=late)


def stop_signals() -> asyncio.Event:
    """An event that the first SIGINT or SIGTERM sets; a second one ends the process at once.

    To be called before anybody is told that the program is ready: who knows it may stop it.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        stopped.set()
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    return stopped


def reload_signal() -> asyncio.Event:
    """An event that each SIGHUP sets, but for the one that says that our terminal was closed: that one ends us.

    To be called as early as `stop_signals`: a SIGHUP that nobody awaits ends the process.
    """
    told = asyncio.Event()
    had_terminal = _has_terminal()

    def hang_up() -> None:
        if had_terminal and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            told.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up)
    return told


def _has_terminal() -> bool:
    """Whether there is a controlling terminal; the kernel takes it away before it tells (tty_ioctl(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True

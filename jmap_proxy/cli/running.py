"""The proxy while it runs: its listeners, and how they end."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.config import parse_address
from jmap_proxy.errors import ConfigError
from jmap_proxy.proxy.door import Door
from jmap_proxy.proxy.handler import Handler
from jmap_proxy.proxy.listener import Listener
from jmap_proxy.status.health import AdminHandler
from jmap_proxy.tls import server_context
from jmap_proxy.tokens.watch import StoreWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jmap_proxy.cli.assembly import Assembly
    from jmap_proxy.config import Config
    from jmap_proxy.proxy.listener import Answer

ADMIN_PATIENCE = 1.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the proxy listens, as origins; "" where a listener is off."""

    http: str
    https: str
    admin: str


@asynccontextmanager
async def running_proxy(assembly: Assembly) -> AsyncIterator[Addresses]:
    """Serve all accounts while the context is open; then let the requests in flight finish.

    Raises:
        ConfigError: an address cannot be listened on, or a file of an account cannot be read.
    """
    config = assembly.config
    refreshers = {name: await assembly.refresher(name) for name in config.accounts}
    planes = {name: await assembly.plane(name, refresher) for name, refresher in refreshers.items()}
    door = Door(
        account_of=assembly.local_keys.account_of,
        open_account=next((name for name, account in config.accounts.items() if account.local_auth == "none"), ""),
        names=frozenset(name.lower().strip("[]") for name in config.listen.hosts),
    )
    handler = Handler(planes, door, upload_replay=config.limits.upload_replay)
    admin = AdminHandler(lambda: {name: refresher.report() for name, refresher in refreshers.items()}, assembly.clock)
    opened: list[Listener] = []
    watch = asyncio.create_task(
        StoreWatch({assembly.store(name).path: refresher for name, refresher in refreshers.items()}).run()
    )
    try:
        yield Addresses(
            http=await _open(opened, "http", config.listen.http, handler, config),
            https=await _open(opened, "https", config.listen.https, handler, config),
            admin=await _open(opened, "admin", config.listen.admin, admin, config),
        )
    finally:
        watch.cancel()
        handler.end_streams()
        await asyncio.gather(*(listener.close() for listener in opened))


async def _open(opened: list[Listener], key: str, text: str, answer: Answer, config: Config) -> str:
    address = parse_address(f"listen.{key}", text)
    if address is None:
        return ""
    tls = None
    if key == "https":
        tls = server_context(config.listen.cert_file, config.listen.key_file)
    listener = Listener(answer, tls=tls, patience=ADMIN_PATIENCE if key == "admin" else config.limits.shutdown)
    opened.append(listener)
    try:
        return await listener.open(address.host, address.port)
    except (OSError, UnicodeError) as error:  # the latter: a host that no IDNA knows
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(
            f"listen.{key}: cannot listen on {text}: {reason}",
            hint="see whether another jmap-proxy is running, or choose another port",
        ) from None


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

"""jmap-proxy as users run it: `serve` with a configuration file, signed in; nothing of it is switched off."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.contenders.contender import Contender, Running, Setting
from bench.processes import Pinned
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.signing_in import sign_in_and_save
from jmap_proxy.config import load_config
from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.session.endpoint import local_prefix
from tests.support.robot import RobotBrowser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from jmap_proxy.tokens import TokenSet

NAME = "bench"

_CONFIG = """\
[listen]
http = "127.0.0.1:0"
admin = ""
[accounts.{name}]
server = "{server}"
issuer = "{issuer}"
client_id = "jmap-proxy"
ca_file = "{ca_file}"
"""


@dataclass(frozen=True, slots=True)
class Home:
    """Configuration and state of a signed-in account.

    Attributes:
        config: The configuration file.
        state: The state folder.
        key: The local key.
        tokens: What the provider gave.
    """

    config: Path
    state: Path
    key: str = field(repr=False)
    tokens: TokenSet = field(repr=False)


def prefix_of(server: str) -> str:
    """What the proxy puts in front of the paths of a server."""
    return f"/{local_prefix(parse_origin(server))}"


async def sign_in(folder: Path, server: str, issuer: str, ca_file: Path) -> Home:
    """Sign in at the provider, as `jmap-proxy login` does."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    config, state = folder / "config.toml", folder / "state"
    config.write_text(_CONFIG.format(name=NAME, server=server, issuer=issuer, ca_file=ca_file))
    browser = RobotBrowser()
    async with Assembly(load_config(config), state) as assembly:
        signed_in = await sign_in_and_save(assembly, NAME, browser.open)
        await browser.pages()
        tokens = await assembly.store(NAME).load()
    if tokens is None:
        raise RuntimeError("not signed in")
    return Home(config, state, signed_in.local_key, tokens)


@asynccontextmanager
async def serving(
    home: Home, core: int, log: Path, *options: str, program: Sequence[str] = ("jmap_proxy",)
) -> AsyncIterator[tuple[Pinned, str]]:
    """`jmap-proxy serve`, and its origin.

    Args:
        home: Its configuration and state.
        core: Where it runs.
        log: Where its words go.
        options: Of `serve`.
        program: The module that is run, and its own arguments.
    """
    argv = [sys.executable, "-m", *program, "serve", "--config", str(home.config), *options]
    async with Pinned(core, argv, log, {"JMAP_PROXY_STATE": str(home.state)}) as process:
        async with asyncio.timeout(30):
            while "listening on " not in process.said or not process.said.endswith("\n"):
                process.check()
                await asyncio.sleep(0.005)
        line = next(line for line in process.said.splitlines() if line.startswith("listening on "))
        yield process, line.removeprefix("listening on ")


class JmapProxy(Contender):
    """See the module.

    Args:
        homes: By the scheme of the server.
    """

    name = "jmap-proxy"

    def __init__(self, homes: dict[str, Home]) -> None:
        self._homes = homes

    @asynccontextmanager
    async def start(self, setting: Setting, key: str) -> AsyncIterator[Running]:
        """See `Contender`; its own key is the one that counts."""
        del key
        home = self._homes[setting.scheme]
        prefix = prefix_of(setting.server)
        async with contextlib.AsyncExitStack() as stack:
            process, origin = await stack.enter_async_context(serving(home, setting.core, setting.folder / "log"))
            yield Running(self.name, process, origin, home.key, prefix)

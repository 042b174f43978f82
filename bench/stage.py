"""What all scenarios need: the server, the provider, a signed-in jmap-proxy, and the proxies, side by side."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contenders.caddy import Caddy
from bench.contenders.contender import Setting, started
from bench.contenders.haproxy import Haproxy
from bench.contenders.jmap_proxy import JmapProxy, sign_in
from bench.contenders.mitmproxy import Mitmproxy
from bench.contenders.nginx import Nginx
from bench.contenders.plain import Plain
from bench.upstream import upstream
from jmap_proxy.sandbox import IdentityProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from bench.contenders.contender import Contender, Running
    from bench.contenders.jmap_proxy import Home
    from bench.machine import Cores
    from bench.upstream import Upstream

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it

SLOW = "mitmproxy"
"""Of a tenth of the others' speed: it takes part where that costs no minutes."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the scenarios are given.

    Attributes:
        cores: Who runs where.
        folder: For files.
        upstream: The server.
        provider: Gives the tokens.
        homes: Signed-in configurations of jmap-proxy, by the scheme of the server.
        contenders: The proxies.
    """

    cores: Cores
    folder: Path
    upstream: Upstream
    provider: IdentityProvider
    homes: dict[str, Home]
    contenders: tuple[Contender, ...]
    _count: itertools.count[int] = field(default_factory=itertools.count)

    @asynccontextmanager
    async def proxies(self, scheme: str, without: Collection[str] = ()) -> AsyncIterator[list[Running]]:
        """All proxies but some, before the server by "http" or "https"; those that nobody asks cost nothing."""
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(self.one(contender, scheme))
                for contender in self.contenders
                if contender.name not in without
            ]

    def one(self, contender: Contender, scheme: str) -> contextlib.AbstractAsyncContextManager[Running]:
        """One proxy, started anew."""
        home = self.homes[scheme]
        folder = self.folder / f"{next(self._count)}-{contender.name.replace(' ', '-')}"
        setting = Setting(self.cores.proxy, folder, self.upstream, scheme, home.tokens.access_token)
        return started(contender, setting, home.key)


@asynccontextmanager
async def stage(cores: Cores) -> AsyncIterator[Stage]:
    """The stage, as long as the context is open."""
    with tempfile.TemporaryDirectory(prefix="bench-") as path, tempfile.TemporaryDirectory(dir=MEMORY) as memory:
        folder = Path(path)
        for each in (folder, Path(memory)):
            each.chmod(0o755)  # nginx's worker is another user where its master is root
        (folder / "server").mkdir()
        async with upstream(cores.load, folder / "server", Path(memory)) as server, IdentityProvider() as provider:
            homes = {
                scheme: await sign_in(folder / scheme, server.origin(scheme), provider.issuer, server.ca_file)
                for scheme in ("http", "https")
            }
            contenders = (JmapProxy(homes), Caddy(), Nginx(), Haproxy(), Mitmproxy(), Plain())
            yield Stage(cores, folder, server, provider, homes, contenders)

"""mitmproxy in reverse mode: nothing printed, large bodies streamed, as it is to be set up for speed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bench.contenders.contender import Running, Setting
from bench.machine import TOOLS
from bench.processes import Pinned, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Mitmproxy:
    """See the module."""

    name = "mitmproxy"

    @asynccontextmanager
    async def start(self, setting: Setting, key: str) -> AsyncIterator[Running]:
        """See `Contender`."""
        port = free_port()
        options = [
            f"confdir={setting.folder}", "flow_detail=0", "termlog_verbosity=error", "stream_large_bodies=64k",
            f"ssl_verify_upstream_trusted_ca={setting.upstream.ca_file}", "http2=false", "rawtcp=false",
        ]  # fmt: skip
        argv = [
            str(TOOLS / "mitmproxy/bin/mitmdump"), "--quiet", "--mode", f"reverse:{setting.server}",
            "--listen-host", "127.0.0.1", "--listen-port", str(port),
            "--modify-headers", f"/~q/Authorization/Bearer {setting.token}",
            *(part for option in options for part in ("--set", option)),
        ]  # fmt: skip
        async with Pinned(setting.core, argv, setting.folder / "log") as process:
            yield Running(self.name, process, f"http://127.0.0.1:{port}", key)

"""HAProxy: one thread, connections to the server kept and shared, nothing logged."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bench.contenders.contender import Running, Setting
from bench.processes import Pinned, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONFIG = """\
global
    nbthread 1
    maxconn 8192
    ssl-server-verify required
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    option http-keep-alive
    http-reuse always
listen proxy
    bind 127.0.0.1:{port}
    http-request set-header Authorization "Bearer {token}"
    http-request set-header Host {authority}
    server server {authority} {trust} pool-max-conn 512
"""


class Haproxy:
    """See the module."""

    name = "haproxy"

    @asynccontextmanager
    async def start(self, setting: Setting, key: str) -> AsyncIterator[Running]:
        """See `Contender`."""
        port, config = free_port(), setting.folder / "haproxy.cfg"
        trust = f"ssl verify required ca-file {setting.upstream.ca_file}" if setting.scheme == "https" else ""
        config.write_text(_CONFIG.format(port=port, token=setting.token, authority=setting.authority, trust=trust))
        argv = ["haproxy", "-db", "-f", str(config)]
        async with Pinned(setting.core, argv, setting.folder / "log") as process:
            yield Running(self.name, process, f"http://127.0.0.1:{port}", key)

"""Caddy: no admin endpoint, nothing logged, enough connections to the server kept, events passed on at once.

On one core Go runs one thread of it at a time by itself: it looks at the cores that it may use.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bench.contenders.contender import Running, Setting
from bench.processes import Pinned, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONFIG = """\
{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
}}
http://127.0.0.1:{port} {{
    reverse_proxy {server} {{
        header_up Authorization "Bearer {token}"
        header_up Host {authority}
        transport http {{
            keepalive_idle_conns_per_host 512
            {trust}
        }}
    }}
}}
"""


class Caddy:
    """See the module."""

    name = "caddy"

    @asynccontextmanager
    async def start(self, setting: Setting, key: str) -> AsyncIterator[Running]:
        """See `Contender`."""
        port, config = free_port(), setting.folder / "Caddyfile"
        trust = f"tls_trusted_ca_certs {setting.upstream.ca_file}" if setting.scheme == "https" else ""
        config.write_text(
            _CONFIG.format(
                port=port, server=setting.server, token=setting.token, authority=setting.authority, trust=trust
            )
        )
        home = {"XDG_DATA_HOME": str(setting.folder), "XDG_CONFIG_HOME": str(setting.folder)}
        argv = ["caddy", "run", "--config", str(config), "--adapter", "caddyfile"]
        async with Pinned(setting.core, argv, setting.folder / "log", home) as process:
            yield Running(self.name, process, f"http://127.0.0.1:{port}", key)

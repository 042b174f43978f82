"""nginx: one worker, connections to the server kept, nothing logged, large bodies passed on as they come."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bench.contenders.contender import Running, Setting
from bench.processes import Pinned, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_CONFIG = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    proxy_temp_path {folder}/temp;
    client_body_temp_path {folder}/body;
    keepalive_requests 100000000;
    client_max_body_size 0;
    upstream server {{ server {authority}; keepalive 512; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        proxy_http_version 1.1;
        proxy_set_header Host {authority};
        proxy_set_header Authorization "Bearer {token}";
        proxy_set_header Connection "";
        proxy_max_temp_file_size 0;
        proxy_ssl_trusted_certificate {ca_file};
        proxy_ssl_verify on;
        proxy_ssl_name localhost;  # it knows no certificates for addresses
        location / {{ proxy_pass {scheme}://server; }}
        location /upload {{ proxy_pass {scheme}://server; proxy_request_buffering off; }}
        location /events {{ proxy_pass {scheme}://server; proxy_buffering off; proxy_read_timeout 1h; }}
        location /ws {{
            proxy_pass {scheme}://server;
            proxy_set_header Connection upgrade;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Authorization "Bearer {token}";
            proxy_set_header Host {authority};
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


class Nginx:
    """See the module."""

    name = "nginx"

    @asynccontextmanager
    async def start(self, setting: Setting, key: str) -> AsyncIterator[Running]:
        """See `Contender`."""
        port, config = free_port(), setting.folder / "nginx.conf"
        config.write_text(
            _CONFIG.format(
                folder=setting.folder, authority=setting.authority, port=port, token=setting.token,
                ca_file=setting.upstream.ca_file, scheme=setting.scheme,
            )
        )  # fmt: skip
        async with Pinned(setting.core, ["nginx", "-c", str(config)], setting.folder / "log") as process:
            yield Running(self.name, process, f"http://127.0.0.1:{port}", key)

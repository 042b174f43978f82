"""The server behind all proxies: one nginx worker, by http and by TLS. It answers at once, from memory.

Events and WebSockets come from this process (`backend`), through the same nginx, so that a proxy needs one server only.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from bench.processes import Pinned, free_port
from jmap_proxy.tls.certificates import certificate_pem, issue, key_pem, make_authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ANSWER = 6800
"""Bytes of the answer to an API request, in the middle: a mailbox list, or a few messages."""

LENGTHS, STEP = 10, 400
"""So many lengths has an answer, and so many bytes lie between one and the next; they come in no order."""

BLOB = 256 << 20
"""Bytes of a download."""

SESSION = {
    "capabilities": {
        "urn:ietf:params:jmap:core": {"maxSizeRequest": 10_000_000, "maxSizeUpload": 1 << 30},
        "urn:ietf:params:jmap:mail": {},
        "urn:ietf:params:jmap:websocket": {"url": "/ws", "supportsPush": True},
    },
    "accounts": {"A": {"name": "bench", "isPersonal": True, "isReadOnly": False, "accountCapabilities": {}}},
    "primaryAccounts": {"urn:ietf:params:jmap:mail": "A"},
    "username": "bench@mail.example",
    "state": "1",
    "apiUrl": "/api/",
    "downloadUrl": "/download/{accountId}/{blobId}/{name}?accept={type}",
    "uploadUrl": "/upload/{accountId}/",
    "eventSourceUrl": "/events?types={types}&closeafter={closeafter}&ping={ping}",
}

PATHS = {
    "session": "/.well-known/jmap",
    "api": "/api/",
    "download": "/download/A/blob/file?accept=x",
    "upload": "/upload/A/",
    "events": "/events?types=*&closeafter=no&ping=0",
    "websocket": "/ws",
}
"""What the scenarios ask for, as it is called at the server."""

_CONFIG = """\
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {memory}/body;
    keepalive_requests 100000000;
    keepalive_timeout 300s;
    client_max_body_size 0;
    sendfile on;
    output_buffers 2 1m;
    default_type application/json;
    split_clients $connection_requests $more {{ {more} }}
    # where each request has a field of its own, so has each answer
    map $http_x_request $trace {{ "" ""; default $request_id; }}
    # a token, and not the client's key: each proxy has to exchange it
    map $http_authorization $stranger {{ default 1; "~^Bearer jp" 1; "~^Bearer ." 0; }}
    server {{
        listen 127.0.0.1:{http} backlog=1024;
        listen 127.0.0.1:{https} ssl backlog=1024;
        ssl_certificate {leaf};
        ssl_certificate_key {leaf};
        ssl_protocols TLSv1.2 TLSv1.3;
        # the same for all: clients in Go and with OpenSSL would ask for different ones
        ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
        ssl_session_cache shared:tls:1m;
        if ($stranger) {{ return 401; }}
        set $a "{a}";
        set $b "{b}";
        location = /.well-known/jmap {{ return 200 '{session}'; }}
        location = /api/ {{ add_header X-Trace $trace; return 200 $a$more$b; }}
        location /download/ {{ default_type application/octet-stream; root {memory}; try_files /blob =404; }}
        location /upload/ {{  # the body is read to its end, and kept in memory
            client_body_buffer_size 1m;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_pass http://unix:{folder}/stored.sock:/;
        }}
        location ~ ^/(events|ws) {{
            proxy_pass http://unix:{folder}/backend.sock;
            proxy_http_version 1.1;
            proxy_set_header Connection $http_connection;
            proxy_set_header Upgrade $http_upgrade;
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
    server {{
        listen unix:{folder}/stored.sock;
        location / {{ return 201 '{{"blobId":"b","size":{blob}}}'; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The server.

    Attributes:
        http: Its origin in the plain.
        https: Its origin by TLS.
        ca_file: The authority of its certificate.
        backend: The Unix socket behind which events and WebSockets are to be served.
    """

    http: str
    https: str
    ca_file: Path
    backend: Path

    def origin(self, scheme: str) -> str:
        """Its origin by "http" or "https"."""
        return self.https if scheme == "https" else self.http


@contextlib.asynccontextmanager
async def upstream(core: int, folder: Path, memory: Path) -> AsyncIterator[Upstream]:
    """The server, running on a core.

    Args:
        core: Where it runs.
        folder: For its files.
        memory: A folder in memory, for what is down- and uploaded.
    """
    ca_file, leaf_file = _certificate(folder)
    with (memory / "blob").open("wb") as blob:
        blob.truncate(BLOB)  # zeros that are nowhere on a disk
    http, https = free_port(), free_port()
    text = json.dumps({"methodResponses": [["Core/echo", {"filler": ""}, "0"]], "sessionState": "1"})
    head, tail = text.split('""')
    filling = "m" * (ANSWER - len(text) - STEP * (LENGTHS - 1) // 2)
    half = len(filling) // 2
    config = folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder, memory=memory, http=http, https=https, leaf=leaf_file, blob=BLOB,
            session=json.dumps(SESSION), a=_quoted(f'{head}"{filling[:half]}'), b=_quoted(f'{filling[half:]}"{tail}'),
            more=_split([STEP * number for number in range(LENGTHS)]),
        )
    )  # fmt: skip
    async with Pinned(core, ["nginx", "-c", str(config)], folder / "log") as nginx:
        yield Upstream(f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}", ca_file, folder / "backend.sock")
        nginx.check()


def _split(lengths: list[int]) -> str:
    """Fillings, each of which is chosen as often as any other."""
    shares = [f"{100 / len(lengths):g}%"] * (len(lengths) - 1) + ["*"]
    return " ".join(f'{share} "{"m" * length}";' for share, length in zip(shares, lengths, strict=True))


def _quoted(text: str) -> str:
    return text.replace('"', '\\"')


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A new authority's certificate, and a certificate for this machine with its key, as files."""
    authority, key, now = make_authority((), time.time()), ec.generate_private_key(ec.SECP256R1()), time.time()
    ca_file, leaf_file = folder / "ca.pem", folder / "leaf.pem"
    ca_file.write_bytes(certificate_pem(authority.certificate))
    leaf_file.write_bytes(key_pem(key) + certificate_pem(issue(authority, key, (), now)))
    return ca_file, leaf_file

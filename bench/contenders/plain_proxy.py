"""A proxy as one writes it with aiohttp in an afternoon: streams both ways, injects a header, checks nothing."""

from __future__ import annotations

import asyncio
import ssl
import sys

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

DROPPED = frozenset({"host", "authorization", "connection", "transfer-encoding", "content-length"})


class Proxy:
    """Forwards everything to one server."""

    def __init__(self, http: aiohttp.ClientSession, server: str, token: str) -> None:
        self._http = http
        self._server = server
        self._token = token

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Forward a request."""
        url = URL(self._server + request.raw_path, encoded=True)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._websocket(request, url)
        headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in DROPPED)
        headers["Authorization"] = f"Bearer {self._token}"
        if request.content_length is not None:
            headers["Content-Length"] = str(request.content_length)
        body = request.content if request.body_exists else None
        async with self._http.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            kept = CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in DROPPED)
            response = web.StreamResponse(status=answer.status, headers=kept)
            response.content_length = answer.content_length
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def _websocket(self, request: web.BaseRequest, url: URL) -> web.StreamResponse:
        headers = {"Authorization": f"Bearer {self._token}"}
        async with self._http.ws_connect(url, headers=headers, protocols=("jmap",)) as server:
            client = web.WebSocketResponse(protocols=("jmap",))
            await client.prepare(request)
            passing = asyncio.create_task(_pass_on(server, client))
            await _pass_on(client, server)
            passing.cancel()
            return client


async def _pass_on(
    source: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
    sink: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
) -> None:
    async for message in source:
        await sink.send_str(message.data)


async def main(port: int, server: str, token: str, ca_file: str) -> None:
    """Serve for ever."""
    tls = ssl.create_default_context(cafile=ca_file)
    connector = aiohttp.TCPConnector(limit=0, ssl=tls)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False, timeout=timeout) as http:
        runner = web.ServerRunner(web.Server(Proxy(http, server, token).answer, access_log=None, auto_decompress=False))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *sys.argv[2:]))

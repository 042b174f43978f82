"""The listener: one aiohttp application served on 127.0.0.1. Knows nothing of what the application does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    import ssl

HOST = "127.0.0.1"
BACKLOG = 1024
"""Connections that may wait to be accepted; tests open hundreds at once."""
SHUTDOWN_TIMEOUT = 0.1
"""Seconds that requests in flight get at shutdown."""


class Listener:
    """Serves an application until it is stopped.

    Args:
        app: The application to serve.
        port: The port to bind; 0 lets the kernel choose.
        ssl_context: Serves https with this context, http without.
        cancel_on_disconnect: Cancel a request's handler as soon as its client leaves.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        cancel_on_disconnect: bool = False,
    ) -> None:
        self._port = port
        self._ssl_context = ssl_context
        self._runner = web.AppRunner(
            app,
            access_log=None,  # request lines carry codes
            handler_cancellation=cancel_on_disconnect,
            shutdown_timeout=SHUTDOWN_TIMEOUT,
        )

    async def start(self) -> str:
        """Bind and serve; return the origin, such as `http://127.0.0.1:49152`."""
        await self._runner.setup()
        return await self._serve(self._port)

    async def start_another(self, port: int = 0) -> str:
        """Serve at a further port, once started; return that origin."""
        return await self._serve(port)

    async def _serve(self, port: int) -> str:
        site = web.TCPSite(self._runner, HOST, port, ssl_context=self._ssl_context, backlog=BACKLOG)
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            raise
        scheme = "https" if self._ssl_context else "http"
        return f"{scheme}://{HOST}:{self._runner.addresses[-1][1]}"

    async def stop(self) -> None:
        """Close the port and every connection."""
        await self._runner.cleanup()

"""A running server's certificate: renewed in time, and shown anew when its files have changed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from jmap_proxy import files
from jmap_proxy.errors import ConfigError, JmapProxyError
from jmap_proxy.tls.contexts import load_certificate, server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

INTERVAL = 600.0
"""Seconds between two looks."""

log = structlog.get_logger("jmap_proxy.tls")


class CertificateWatch:
    """Follows the files of a server's certificate. Connections that are open keep what they were shown.

    Args:
        cert_file: PEM chain.
        key_file: Its PEM key.
        renew: Called before each look: makes the certificate anew if it is time. Blocks, raises JmapProxyError.
        sleep: Waits for so many seconds.

    Raises:
        ConfigError: the files cannot be used.
    """

    def __init__(
        self,
        cert_file: str,
        key_file: str,
        renew: Callable[[], object] = lambda: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._files = cert_file, key_file
        self._renew = renew
        self._sleep = sleep
        self._told = ""
        self._seen = self._identities()
        self.context: ssl.SSLContext = server_context(cert_file, key_file)

    def follow(self, cert_file: str, key_file: str, renew: Callable[[], object]) -> None:
        """Follow these files from now on, and show what they hold from the next handshake on.

        Raises:
            ConfigError: they cannot be used; all stays as it was.
        """
        before, self._files = self._files, (cert_file, key_file)
        try:
            identities = self._identities()
            server_context(*self._files)  # raises before the context in use has taken half of a pair
            load_certificate(self.context, *self._files)
        except ConfigError:
            self._files = before
            raise
        self._seen, self._renew = identities, renew

    async def run(self) -> None:
        """Look for ever; to be cancelled."""
        while True:
            await self._sleep(INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Renew the certificate if it is time, and take it up if it has changed; what cannot be used is logged."""
        try:
            await asyncio.to_thread(self._renew)
            self._take_up()
        except JmapProxyError as error:
            if error.detail != self._told:  # once, and not at every look
                log.warning("the certificate cannot be renewed", detail=error.detail, hint=error.hint)
            self._told = error.detail
        else:
            self._told = ""

    def _take_up(self) -> None:
        """On the event loop, since no handshake may begin meanwhile; the files are small."""
        identities = self._identities()
        if identities == self._seen:
            return
        server_context(*self._files)  # raises before the context in use has taken half of a pair
        load_certificate(self.context, *self._files)
        self._seen = identities
        log.info("the certificate has changed", cert_file=self._files[0])

    def _identities(self) -> list[files.Identity | None]:
        try:
            return [files.identity(Path(name).expanduser()) for name in self._files]
        except (JmapProxyError, ValueError, RuntimeError):  # `server_context` says what is wrong with the name
            return []

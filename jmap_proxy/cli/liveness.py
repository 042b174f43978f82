"""Whether the running proxy still answers, asked the way its clients ask it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.origins import parse_origin

if TYPE_CHECKING:
    from jmap_proxy.cli.running import Addresses

QUESTION = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

log = structlog.get_logger("jmap_proxy.cli")


async def answers(addresses: Addresses, patience: float) -> bool:
    """Whether it answers in time; why not stands in the log.

    The admin listener is asked. Where that is off, a connection is all that can be had without a local key.

    Args:
        addresses: Where it listens.
        patience: Seconds.
    """
    try:
        async with asyncio.timeout(patience):
            if addresses.admin:
                await _ask(addresses.admin)
            else:
                await _connect(addresses)
    except (OSError, TimeoutError) as error:
        log.error("the proxy does not answer itself", error=type(error).__name__)
        return False
    return True


async def _ask(admin: str) -> None:
    """Any answer will do: that it is busy is one, too."""
    origin = parse_origin(admin)
    reader, writer = await asyncio.open_connection(origin.host, origin.port)
    try:
        writer.write(QUESTION)
        if not (await reader.readline()).startswith(b"HTTP/1.1 "):
            raise ConnectionError("no answer of HTTP")
    finally:
        writer.close()


async def _connect(addresses: Addresses) -> None:
    if addresses.unix:
        _, writer = await asyncio.open_unix_connection(addresses.unix)
    else:
        origin = parse_origin(next(filter(None, (addresses.http, addresses.https, *addresses.own.values()))))
        _, writer = await asyncio.open_connection(origin.host, origin.port)
    writer.close()

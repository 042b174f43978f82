"""The connections to servers. What relies on aiohttp's inner names (`_factory`, `_loop`, `_payload`: 3.14) is here."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from jmap_proxy.proxy.wire.broken_body import break_body

if TYPE_CHECKING:
    import asyncio


class Pool(aiohttp.TCPConnector):
    """Connections that are used again only if nothing has come on them that was not asked for.

    aiohttp gives such an answer to whoever sends the next request on the connection, perhaps another account.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory = functools.partial(_connection, self._loop)


class _Connection(ResponseHandler):
    def is_connected(self) -> bool:
        """Whether it is open and in step; asked before a connection is used again."""
        return super().is_connected() and not self.should_close

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Tell the answer's body too when its bytes have become unreadable: aiohttp lets it wait for ever."""
        super().set_exception(exc, *cause)
        if isinstance(exc, HttpProcessingError) and self._payload is not None:
            break_body(self._payload, aiohttp.ClientPayloadError("the answer cannot be read"))


def _connection(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Connection(loop)

"""Connections to servers, on which no more answers wait to be read than can be asked for; aiohttp sets no limit.

A server may send any number of interim answers (RFC 9110 §15.2). One that sends nothing else, as fast as it can, would
fill the memory, and keep the event loop from everybody else meanwhile: 200 MB and 5 s were measured on uvloop.

Relied on of aiohttp's inner names, of 3.14: a connector's `_factory` and `_loop`; `ResponseHandler` with `feed_data`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from jmap_proxy.names import Resolver

if TYPE_CHECKING:
    import asyncio

MOST_UNREAD = 64
"""Answers that wait unread; servers that take long send one in some seconds (measured: Cyrus), and all are read."""


class Connection(ResponseHandler):
    """A connection that ends when more comes on it than is read."""

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Take the head of an answer, and what its body comes from."""
        if len(self) < MOST_UNREAD:
            super().feed_data(data, size)
        elif self.exception() is None:
            self.set_exception(aiohttp.ClientPayloadError(f"more than {MOST_UNREAD} answers without a final one"))
            if self.transport is not None:
                self.transport.abort()


class Connector(aiohttp.TCPConnector):
    """Makes such connections, or others of that kind."""

    def __init__(self, make: type[Connection] = Connection, **settings: Any) -> None:
        super().__init__(**{"resolver": Resolver(), **settings})
        self._factory = functools.partial(_made, make, self._loop)


def _made(make: type[Connection], loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return make(loop)

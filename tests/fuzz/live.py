"""A proxy and a server that live longer than one example, on a loop that runs while an example does."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hypothesis import HealthCheck, settings

from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.session.endpoint import local_prefix
from tests.proxy.support import Proxy, Serve, proxy_to, raw_server, scripted

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

_T = TypeVar("_T")
LIMIT = 20
"""Seconds for an example; only what hangs takes that long."""
FEWER = settings(
    max_examples=max(settings().max_examples // 4, 100),  # each one takes 5 to 20 ms
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@dataclass(repr=False)  # Hypothesis writes the arguments of an example out
class Live:
    """A proxy before a server.

    Attributes:
        proxy: It listens.
        prefix: First path segment of the server's endpoints.
    """

    proxy: Proxy
    prefix: str
    _runner: asyncio.Runner

    def run(self, example: Coroutine[None, None, _T]) -> _T:
        """Run an example to its end, and no longer than it may take."""

        async def limited() -> _T:
            async with asyncio.timeout(LIMIT):
                return await example

        return self._runner.run(limited())


@contextmanager
def live(serve: Serve) -> Iterator[Live]:
    """A proxy before a server that answers all but its Session by `serve`."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> Live:
            server = await stack.enter_async_context(raw_server(scripted(serve)))
            proxy = await stack.enter_async_context(proxy_to(f"{server}/.well-known/jmap"))
            await proxy.session()
            return Live(proxy, local_prefix(parse_origin(server)), runner)

        running = runner.run(start())
        try:
            yield running
        finally:
            runner.run(stack.aclose())

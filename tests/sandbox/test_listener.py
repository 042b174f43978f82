from __future__ import annotations

import ssl

import pytest
from aiohttp import web

from jmap_proxy.sandbox.listener import Listener


async def test_a_taken_port_is_an_error_that_leaves_nothing_behind() -> None:
    """Binding a port twice raises, and the second listener holds no resource."""
    first = Listener(web.Application())
    origin = await first.start()
    port = int(origin.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await Listener(web.Application(), port=port).start()
    await first.stop()
    again = Listener(web.Application(), port=port)
    assert await again.start() == origin
    await again.stop()


async def test_the_origin_of_a_tls_listener_is_https() -> None:
    """With a TLS context the origin's scheme is https."""
    listener = Listener(web.Application(), ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert (await listener.start()).startswith("https://127.0.0.1:")
    await listener.stop()

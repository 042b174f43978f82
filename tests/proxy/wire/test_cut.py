import asyncio
import contextlib

from aiohttp.test_utils import make_mocked_request

from jmap_proxy.proxy.wire.cut import cut
from tests.proxy.support import answering, raw_server


async def test_cutting_a_client_that_has_just_left_is_no_error() -> None:
    """Its socket is closed already, and takes no options any more."""
    async with raw_server(answering(b"")) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", int(server.rpartition(":")[2]))
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        cut(make_mocked_request("GET", "/", transport=writer.transport))

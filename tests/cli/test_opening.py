from __future__ import annotations

import asyncio
import dataclasses
import socket

import pytest
from aiohttp import ClientError, web

from jmap_proxy.cli.listeners import Listeners
from tests.cli.test_listeners import LIMITS, answer, told, way


@pytest.mark.parametrize("is_taken", [True, False])
async def test_a_request_that_comes_before_it_is_decided(*, is_taken: bool) -> None:
    """Waits: there may be no accounts yet to answer for. If it is not to be, its connection ends without an answer."""
    listeners = Listeners(LIMITS, {})
    handed = socket.create_server(("127.0.0.1", 0))
    port = handed.getsockname()[1]
    answered = list[web.BaseRequest]()

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        answered.append(request)
        return await answer(request)

    noting = dataclasses.replace(way("127.0.0.1:1"), answer=note)
    opening = await listeners.open([noting], {"http": [handed]})
    assert list(listeners.after(opening)) == ["http"]
    asking = asyncio.create_task(told(f"http://127.0.0.1:{port}/"))
    done, _ = await asyncio.wait([asking], timeout=0.1)
    assert not done
    if is_taken:
        listeners.take(opening)
        assert await asking == f"http://127.0.0.1:{port}"
    else:
        await opening.close()
        with pytest.raises(ClientError):
            await asking
        assert listeners.shown == {}
    assert len(answered) == int(is_taken)
    await listeners.close()

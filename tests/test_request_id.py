import asyncio
import re

from jmap_proxy.request_id import RequestId, begin_request, current_request


def test_an_id_stays_what_it_is() -> None:
    """Ten hexadecimal digits, the same each time, and as a URN."""
    request = RequestId()
    first = str(request)
    assert re.fullmatch("[0-9a-f]{10}", first)
    assert str(request) == first
    assert request.urn == f"urn:jmap-proxy:request:{request}"
    assert str(RequestId()) != str(request)


async def test_a_request_is_known_to_its_task_and_those_that_it_starts() -> None:
    """And to nobody else."""

    async def work() -> str:
        return str(current_request())

    async def request() -> tuple[str, str]:
        begin_request()
        return await work(), await asyncio.create_task(work())

    assert current_request() is None
    first, second = await asyncio.gather(request(), request())
    assert current_request() is None
    assert first[0] == first[1]
    assert second[0] == second[1]
    assert first != second

import asyncio

import pytest

from jmap_proxy.proxy.streams import Streams


async def stream(streams: Streams, account: str, began: asyncio.Event) -> None:
    """Be an open stream; what follows a colon stands for its key."""
    account, _, key_digest = account.partition(":")
    with streams.listed(account, key_digest):
        began.set()
        await asyncio.Event().wait()


async def opened(streams: Streams, *accounts: str) -> list[asyncio.Task[None]]:
    """An open stream for each of the accounts."""
    tasks = []
    for account in accounts:
        began = asyncio.Event()
        tasks.append(asyncio.create_task(stream(streams, account, began)))
        await began.wait()
    return tasks


async def test_an_accounts_streams_are_ended() -> None:
    """Those of the others stay, until all are ended; who has ended is not counted any more."""
    streams = Streams()
    first, second, other = await opened(streams, "alice", "alice", "bob")
    assert (streams.count("alice"), streams.count("bob")) == (2, 1)
    streams.end("alice")
    await asyncio.wait([first, second])
    assert first.cancelled()
    assert second.cancelled()
    assert (streams.count("alice"), streams.count("bob")) == (0, 1)
    streams.end()
    await asyncio.wait([other])
    assert other.cancelled()
    assert streams.count("bob") == 0


async def test_the_streams_of_keys_that_are_gone_are_ended() -> None:
    """Not those of keys that there still are, nor those that needed none."""
    streams = Streams()
    gone, there, without = await opened(streams, "alice:old", "alice:new", "alice")
    streams.end_without({"new"})
    await asyncio.wait([gone])
    assert gone.cancelled()
    streams.end_without({"new"})
    assert streams.count("alice") == 2
    streams.end_without(set())
    await asyncio.wait([there])
    assert streams.count("alice") == 1
    streams.end()
    await asyncio.wait([without])


async def test_a_stream_that_ends_by_itself_is_not_counted() -> None:
    """Nor cancelled later."""
    streams = Streams()
    with streams.listed("alice"):
        assert streams.count("alice") == 1
    assert streams.count("alice") == 0
    streams.end()
    await asyncio.sleep(0)


async def test_streams_are_counted_by_account_and_kind() -> None:
    """As long as they are open."""
    streams = Streams()
    assert streams.counts() == {}
    with streams.listed("alice", "k", "events"):
        assert streams.counts() == {("alice", "events"): 1}
    assert streams.counts() == {}


async def test_only_tasks_are_streams() -> None:
    """Nothing else could be ended."""
    refused: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def not_in_a_task() -> None:
        with pytest.raises(RuntimeError), Streams().listed("alice"):
            pass
        refused.set_result(True)

    asyncio.get_running_loop().call_soon(not_in_a_task)
    assert await refused

"""Many accounts: what a request costs does not grow with them. Counted, not timed."""

from __future__ import annotations

import functools
import operator
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import pytest

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.running import running_proxy
from jmap_proxy.config import Config, Listen, load_config

if TYPE_CHECKING:
    from types import FrameType

    from tests.support.world import World

CALL = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"hello": True}, "e"]]}
ROUNDS = 5
OF_ITS_OWN = ("/tokens/watch.py", "/files.py")
"""What runs beside the requests, each second."""


class Steps:
    """Counts the steps of our own code while it is entered: calls and resumed coroutines, and stat calls."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, arg: Any) -> None:
        name = frame.f_code.co_filename
        if threading.current_thread() is not threading.main_thread():
            return
        if event == "call" and "/jmap_proxy/" in name and "/sandbox/" not in name and not name.endswith(OF_ITS_OWN):
            self.counts[f"{name.rpartition('/jmap_proxy/')[2]}:{frame.f_code.co_name}"] += 1
        elif event == "c_call" and arg.__name__ == "stat":
            self.counts["stat"] += 1


async def steps(world: World, key: str, accounts: int, *, fast: bool) -> Counter[str]:
    """The steps of one API request through alice's account, among so many: what each one takes at least.

    A client that waits to be asked for the body makes it go the ordinary way.
    """
    alice = load_config(world.config).accounts["alice"]
    names = [f"other{number}" for number in range(accounts // 2)]
    config = Config(
        listen=Listen(http="127.0.0.1:0", admin=""),
        accounts=dict.fromkeys((*names, "alice", *(f"{name}b" for name in names)), alice),
    )
    async with (
        Assembly(config, world.state) as assembly,
        running_proxy(assembly) as addresses,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
    ):
        async with client.get(f"{addresses.http}/.well-known/jmap") as response:
            api = (await response.json())["apiUrl"]
        rounds = []
        for _ in range(ROUNDS):
            with Steps() as counted:
                async with client.post(api, json=CALL, expect100=not fast) as response:
                    assert response.status == 200
                    await response.read()
            rounds.append(counted.counts)
    return functools.reduce(operator.and_, rounds)  # a body that comes in two pieces is read in one step more


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "ordinary"])
async def test_a_request_takes_as_many_steps_among_a_thousand_accounts_as_alone(
    world: World, key: str, *, fast: bool
) -> None:
    """The same calls, the same number of times, and the same stat calls (one: for the local keys), in both ways."""
    alone, among_many = await steps(world, key, 1, fast=fast), await steps(world, key, 1000, fast=fast)
    ways = alone["proxy/fast/crossing.py:_answer"], alone["proxy/door/door.py:enter"]
    assert (*ways, alone["stat"]) == ((1, 0, 1) if fast else (0, 1, 1))
    assert among_many == alone

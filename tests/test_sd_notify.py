from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jmap_proxy.sd_notify import ServiceManager
from tests.support.manager import Manager, manager_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """Give a service manager that listens on a Unix socket of either kind."""
    with manager_at(tmp_path, abstract=request.param == "abstract") as listening:
        yield listening


async def test_a_life_is_told(manager: Manager) -> None:
    """Ready, reloading with the time of it, ready again, stopping; each is one message."""
    service = ServiceManager(dict(manager.env), os.getpid(), clock=lambda: 123)
    service.ready("serving")
    with service.reloading(lambda: "serving elsewhere"):
        pass
    service.stopping()
    assert [await manager.message() for _ in range(4)] == [
        ["READY=1", "STATUS=serving"],
        ["RELOADING=1", "MONOTONIC_USEC=123"],
        ["READY=1", "STATUS=serving elsewhere"],
        ["STOPPING=1", "STATUS=letting requests in flight finish"],
    ]


async def test_a_reload_that_fails_has_ended_too(manager: Manager) -> None:
    """Or the manager would wait for its end."""
    service = ServiceManager(dict(manager.env), os.getpid())
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    with pytest.raises(ValueError, match="wrong"), service.reloading(lambda: "as before"):
        raise ValueError("wrong")
    told, after = await manager.message(), time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before <= int(told[1].removeprefix("MONOTONIC_USEC=")) <= after
    assert await manager.message() == ["READY=1", "STATUS=as before"]


async def test_signs_of_life_are_given_as_long_as_all_is_well(manager: Manager) -> None:
    """Again and again; none while the proxy does not answer itself, and again when it does."""
    environment = {**manager.env, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    service = ServiceManager(environment, os.getpid())
    assert service.watchdog_interval == 0.01
    asked: list[bool] = []

    async def is_well() -> bool:
        asked.append(len(asked) not in (2, 3))
        if len(asked) == 6:
            await asyncio.Event().wait()
        return asked[-1]

    watching = asyncio.create_task(service.watch(is_well))
    assert [await manager.message() for _ in range(3)] == [["WATCHDOG=1"]] * 3
    assert asked[:5] == [True, True, False, False, True]
    watching.cancel()
    await asyncio.wait([watching])
    assert manager.is_silent()


@pytest.mark.parametrize(
    ("watchdog", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "77"}, 30.0),
    ],
)
async def test_a_watchdog_that_is_not_meant_for_us_is_none(watchdog: dict[str, str], interval: float | None) -> None:
    """It says for whom it is, and in which time; without one, nothing is asked."""
    service = ServiceManager({"NOTIFY_SOCKET": "/nowhere", **watchdog}, 77)
    assert service.watchdog_interval == interval
    if interval is None:
        await service.watch(_must_not_be_asked)


async def _must_not_be_asked() -> bool:
    raise AssertionError


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "tcp:localhost"])
async def test_without_a_manager_nothing_is_told(address: str) -> None:
    """Nor where it listens in a way that is not known of; no error, no line, no watchdog."""
    environment = {"WATCHDOG_USEC": "20000"} | ({"NOTIFY_SOCKET": address} if address else {})
    with capture_logs() as logs:
        service = ServiceManager(environment, os.getpid())
        service.ready("serving")
        service.stopping()
    assert service.watchdog_interval is None
    assert logs == []


def test_children_are_told_of_none(manager: Manager) -> None:
    """What they told would be taken for the program's own word."""
    environment = {**manager.env, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    ServiceManager(environment, os.getpid())
    assert environment == {"PATH": "/bin"}


def test_a_manager_that_has_gone_stops_nobody(tmp_path: Path) -> None:
    """A line in the log, no more; the same for one that is a stream, or takes no more messages."""
    stream = tmp_path / "stream"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(stream))
        listening.listen()
        for address in (tmp_path / "gone", stream):
            with capture_logs() as logs:
                ServiceManager({"NOTIFY_SOCKET": str(address)}, os.getpid()).ready("serving")
            assert [(line["event"], line["log_level"], line["message"]) for line in logs] == [
                ("the service manager is not told", "warning", "READY=1")
            ]

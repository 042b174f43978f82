from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from jmap_proxy.cli.workers.process import WorkerProcess
from jmap_proxy.config import Config
from jmap_proxy.errors import ConfigError, StoreError, WorkerError
from tests.support.program import TIME_LIMIT
from tests.support.scripted_worker import TOLD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jmap_proxy.cli.workers.messages import Told

SCRIPTED = [sys.executable, "-m", "tests.support.scripted_worker"]


@asynccontextmanager
async def worker(behaviour: str, patience: float = TIME_LIMIT) -> AsyncIterator[tuple[WorkerProcess, list[Told]]]:
    """A worker that behaves like that, and what it has told."""
    heard: list[Told] = []
    started = await WorkerProcess.start([*SCRIPTED, behaviour], heard.append, patience)
    try:
        yield started, heard
    finally:
        started.kill()
        await started.ended()


async def test_a_worker_serves_and_stops() -> None:
    """It takes a configuration up with the sockets, tells how it is doing, and ends when it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with worker("good") as (good, heard):
            await good.prepare(Config(), {"http": [listening]})
            await good.decide(agreed=True)
            await asyncio.gather(*(good.ask(TIME_LIMIT) for _ in range(3)))
            assert (heard, good.told) == ([TOLD], TOLD)  # one question at a time
            await good.stop(TIME_LIMIT)
            assert await good.ended() == 0


async def test_a_decision_against_it() -> None:
    """Leaves it as it was: it can be asked again."""
    async with worker("good") as (good, _):
        for agreed in (False, True):
            await good.prepare(Config(), {})
            await good.decide(agreed=agreed)


@pytest.mark.parametrize(("behaviour", "error"), [("unable", ConfigError), ("unable-store", StoreError)])
async def test_what_it_cannot_take_up_is_told(behaviour: str, error: type[Exception]) -> None:
    """With its own words, as if it had happened here; it goes on."""
    async with worker(behaviour) as (unable, heard):
        with pytest.raises(error, match="no such"):
            await unable.prepare(Config(), {})
        await unable.ask(TIME_LIMIT)
        assert heard


async def test_who_gives_another_answer_is_ended() -> None:
    """What it does is not known then."""
    async with worker("confused") as (confused, _):
        with pytest.raises(WorkerError, match="gives another answer"):
            await confused.prepare(Config(), {})
        assert await confused.ended() < 0
    async with worker("confused-later") as (confused, _):
        await confused.prepare(Config(), {})
        with pytest.raises(WorkerError, match="gives another answer"):
            await confused.decide(agreed=True)
        assert await confused.ended() < 0


async def test_who_does_not_answer_is_ended() -> None:
    """When its patience is over; whoever asked is told."""
    async with worker("hangs", 0.05) as (hanging, _):
        with pytest.raises(WorkerError, match="does not answer"):
            await hanging.prepare(Config(), {})
        assert await hanging.ended() < 0


async def test_who_says_what_is_not_understood_is_ended() -> None:
    """As one can that was started after the program had been replaced by another version."""
    with capture_logs() as logs:
        async with worker("foreign") as (foreign, _):
            with pytest.raises(WorkerError, match="has ended"):
                await foreign.prepare(Config(), {})
            assert await foreign.ended() < 0
    assert [line["event"] for line in logs] == ["what a worker says is not understood, so it is ended"]


async def test_who_has_ended_answers_nothing() -> None:
    """Neither who waits for an answer nor who asks later waits for long."""
    async with worker("ends") as (ended, _):
        with pytest.raises(WorkerError, match="has ended"):
            await ended.prepare(Config(), {})
        assert await ended.ended() == 0
        await ended.ask(TIME_LIMIT)
        with pytest.raises(WorkerError, match="has ended"):
            await ended.decide(agreed=True)
        await ended.stop(TIME_LIMIT)


async def test_silence_is_measured() -> None:
    """From the first question on that was not answered; whoever asks goes on after a while."""
    async with worker("silent") as (silent, heard):
        assert silent.silent_for == 0.0
        for _ in range(2):
            await silent.ask(0.01)
        assert silent.silent_for >= 0.02
        assert heard == []


async def test_who_does_not_stop_is_killed() -> None:
    """After its time, and the log says so."""
    async with worker("stays") as (staying, _):
        await staying.ask(TIME_LIMIT)
        with capture_logs() as logs:
            await staying.stop(0.05)
        assert await staying.ended() < 0
    assert [line["event"] for line in logs] == ["a worker did not end in time and is killed"]


async def test_a_program_that_is_not_there() -> None:
    """Is an error of its own, and leaves nothing open."""
    with pytest.raises(WorkerError, match="No such file"):
        await WorkerProcess.start(["/none"], lambda _: None)
    with pytest.raises(ValueError, match="null"):
        await WorkerProcess.start(["\0"], lambda _: None)

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from jmap_proxy.cli.listeners import Way
from jmap_proxy.cli.workers.bound import Bound
from jmap_proxy.cli.workers.crew import Crew, how
from jmap_proxy.cli.workers.process import WorkerProcess
from jmap_proxy.config import Config, Limits
from jmap_proxy.errors import ConfigError, WorkerError
from jmap_proxy.proxy.listener.listener import Listener
from jmap_proxy.tokens.report import State, TokenReport
from tests.cli.workers.test_process import SCRIPTED
from tests.support.program import TIME_LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from jmap_proxy.cli.workers.messages import Told

CONFIG = Config(limits=Limits(shutdown=0))
GOOD = "good"


@dataclass
class Nursery:
    """Starts workers that behave in the given ways, one after the other, and well after that."""

    behaviours: list[str]
    started: list[WorkerProcess] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    heard: list[Told] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def start(self, heard: Callable[[Told], None]) -> WorkerProcess:
        """Start the next one."""
        behaviour = self.behaviours.pop(0) if self.behaviours else GOOD
        if behaviour == "none":
            raise WorkerError("a worker cannot be started")
        worker = await WorkerProcess.start([*SCRIPTED, behaviour], heard)
        async with self.changed:
            self.started.append(worker)
            self.changed.notify_all()
        return worker

    async def sleep(self, seconds: float) -> None:
        """Take no time, but note it."""
        self.pauses.append(seconds)

    async def until(self, number: int) -> None:
        """Wait until so many have been started."""
        async with asyncio.timeout(TIME_LIMIT), self.changed:
            await self.changed.wait_for(lambda: len(self.started) >= number)

    @asynccontextmanager
    async def crew(self, size: int, hung: float = TIME_LIMIT) -> AsyncIterator[Crew]:
        """A crew of them."""
        crew = Crew(size, self.start, self.heard.append, self.sleep, every=0.01, hung=hung)
        try:
            yield crew
        finally:
            await crew.close()


async def serving(crew: Crew, size: int) -> None:
    """Wait until so many serve."""
    async with asyncio.timeout(TIME_LIMIT):
        while len(crew.workers) != size:  # noqa: ASYNC110 - it is a dictionary
            await asyncio.sleep(0)


async def test_workers_that_end_again_and_again() -> None:
    """The first is replaced at once, the next ones after longer and longer; the log tells each time."""
    nursery = Nursery(["serves-and-ends"] * 5)
    with capture_logs() as logs:
        async with nursery.crew(1) as crew:
            await crew.agree(CONFIG, {})
            await nursery.until(6)
            await serving(crew, 1)
    assert nursery.pauses == [0.0, 1.0, 2.0, 4.0, 8.0]
    ended = [line["how"] for line in logs if line["event"] == "a worker has ended and is replaced"]
    assert ended == ["exit code 3"] * 5


async def test_workers_that_cannot_even_be_started() -> None:
    """Are tried again, after pauses; the other one serves meanwhile."""
    nursery = Nursery([GOOD, "serves-and-ends", "none", "ends", "unable"])
    with capture_logs() as logs:
        async with nursery.crew(2) as crew:
            await crew.agree(CONFIG, {})
            await nursery.until(5)
            await serving(crew, 2)
    assert nursery.pauses == [0.0, 1.0, 2.0, 4.0]
    failed = [
        line["detail"] for line in logs if "cannot be started" in line["event"] or "could not be" in line["event"]
    ]
    assert (failed[0], failed[2]) == ("a worker cannot be started", "no such key")


async def test_a_socket_of_a_place_without_a_worker_takes_no_connections() -> None:
    """While a worker is not replaced for long, its share comes to the others."""
    given_up, bound = list[int](), Bound(2)

    async def sleep(seconds: float) -> None:
        if seconds:
            given_up.append(sum(each.fileno() < 0 for place in range(2) for each in bound._own[place].values()))

    nursery = Nursery([GOOD, "serves-and-ends", "serves-and-ends"])
    await bound.open("127.0.0.1", 0)
    crew = Crew(2, nursery.start, nursery.heard.append, sleep)
    await crew.agree(CONFIG, {"http": bound})
    await nursery.until(4)
    await serving(crew, 2)
    await crew.close()
    assert given_up == [1]
    assert all(each.fileno() > 0 for place in range(2) for each in bound._own[place].values())
    await bound.close()


async def nobody(_request: web.BaseRequest) -> web.StreamResponse:
    """Nobody is answered here."""
    raise AssertionError


@pytest.mark.parametrize("bad", ["unable", "ends", "none"])
async def test_the_first_configuration_that_one_cannot_take_up(bad: str) -> None:
    """Is an error, and nobody is left."""
    nursery = Nursery([GOOD, bad])
    async with nursery.crew(2) as crew:
        with pytest.raises((ConfigError, WorkerError)):
            await crew.agree(CONFIG, {})
    assert crew.workers == []
    assert [await worker.ended() for worker in nursery.started] == [0] * len(nursery.started)


async def test_one_that_hangs_and_one_that_is_killed_are_replaced() -> None:
    """The former is killed, too."""
    nursery = Nursery(["silent"])
    with capture_logs() as logs:
        async with nursery.crew(2, hung=1.0) as crew:
            await crew.agree(CONFIG, {})
            await nursery.until(3)
            nursery.started[2].kill()
            await nursery.until(4)
            await serving(crew, 2)
    events = [line["event"] for line in logs]
    assert "a worker does not answer any more and is ended" in events
    assert {line["how"] for line in logs if line["event"] == "a worker has ended and is replaced"} == {"SIGKILL"}


async def test_an_end_while_one_is_being_replaced() -> None:
    """Waits for nobody who does not serve yet, and leaves nobody."""
    nursery = Nursery(["serves-and-ends", "hangs"])
    async with nursery.crew(1) as crew:
        await crew.agree(CONFIG, {})
        await nursery.until(2)
    assert await nursery.started[1].ended() == -signal.SIGKILL


async def test_a_later_configuration_that_one_cannot_take_up() -> None:
    """Is an error, and the others are told so; whoever is replaced goes by the one of before."""
    nursery = Nursery([GOOD, "unable-later"])
    async with nursery.crew(2) as crew:
        await crew.agree(CONFIG, {})
        with pytest.raises(ConfigError, match="no such key"):
            await crew.agree(Config(), {})
        assert len(crew.workers) == 2
        assert crew._agreed == (CONFIG, {})


async def test_one_that_ends_meanwhile_does_not_speak_against_a_configuration() -> None:
    """As long as there is another one; it is replaced by one that goes by it."""
    nursery = Nursery([GOOD, "ends-later"])
    later = Config(limits=Limits(shutdown=0, head=1.0))
    async with nursery.crew(2) as crew:
        await crew.agree(CONFIG, {})
        await crew.agree(later, {})
        assert crew._agreed == (later, {})
        await nursery.until(3)
        await serving(crew, 2)
    nursery = Nursery(["ends-later", "ends-later"])
    async with nursery.crew(2) as crew:
        await crew.agree(CONFIG, {})
        with pytest.raises(WorkerError, match="has ended"):
            await crew.agree(later, {})
        assert crew._agreed == (CONFIG, {})


async def test_one_that_hangs_holds_no_end_up() -> None:
    """It is killed as soon as it would be otherwise."""
    nursery = Nursery(["silent-and-stays"])
    with capture_logs() as logs:
        async with nursery.crew(1, hung=0.05) as crew:
            await crew.agree(CONFIG, {})
    assert await nursery.started[0].ended() == -signal.SIGKILL
    assert "a worker does not answer any more and is ended" in [line["event"] for line in logs]


async def test_what_all_of_them_tell() -> None:
    """The worst of the reports, the sum of the streams; all that they have counted is heard."""
    nursery = Nursery([])
    async with nursery.crew(3) as crew:
        await crew.agree(CONFIG, {})
        async with asked(crew) as origin, ClientSession() as client, client.get(f"{origin}/x") as response:
            assert await response.text() == "retrying 6"
        heard = len(nursery.heard)
        async with asked(crew) as origin, ClientSession() as client, client.get(f"{origin}/healthz") as response:
            assert await response.text() == "retrying 6"
    assert heard >= 3


async def test_metrics_have_the_workers_and_readiness_needs_one() -> None:
    """Without any it is not ready, and not well."""
    nursery = Nursery([])
    crew = Crew(2, nursery.start, nursery.heard.append)
    await crew.agree(CONFIG, {})
    async with asked(crew) as origin, ClientSession() as client:
        well = [crew.is_well]
        async with client.get(f"{origin}/metrics") as response:
            assert "jmap_proxy_workers 2.0" in await response.text()
        async with client.get(f"{origin}/readyz") as response:
            assert response.status == 200
        await crew.close()
        assert [*well, crew.is_well] == [True, False]
        async with client.get(f"{origin}/readyz") as response:
            assert (response.status, (await response.json(content_type=None))["type"][-7:]) == (503, ":worker")


@asynccontextmanager
async def asked(crew: Crew) -> AsyncIterator[str]:
    """A listener that answers with what the crew tells."""
    reports = crew.reports(lambda: {"alice": TokenReport(state=State.OK)})
    streams = crew.streams(dict)

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=f"{reports()['alice'].state.value} {sum(streams().values())}")

    listener = Listener(crew.admin(answer), patience=0)
    try:
        yield await listener.open("127.0.0.1", 0)
    finally:
        await listener.close()


async def test_only_the_admin_listener_is_served_by_the_supervisor() -> None:
    """The others are bound."""
    crew = Crew(2, Nursery([]).start, lambda _: None)
    made = [crew.listener(Way(name, name, "", nobody, 0), Limits()) for name in ("admin", "http", "unix")]
    assert [type(each) for each in made] == [Listener, Bound, Bound]
    assert crew.is_first


@pytest.mark.parametrize(
    ("code", "said"), [(0, "exit code 0"), (78, "exit code 78"), (-signal.SIGSEGV, "SIGSEGV"), (-250, "signal 250")]
)
def test_how_a_process_has_ended(code: int, said: str) -> None:
    """In a word."""
    assert how(code) == said

"""The supervisor's role: it has workers that serve, replaces those that end, and tells what all have counted."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from jmap_proxy.cli.listeners import listener_of
from jmap_proxy.cli.role import Role
from jmap_proxy.cli.workers.bound import Bound
from jmap_proxy.cli.workers.combined import combined_reports, combined_streams
from jmap_proxy.cli.workers.restarts import Restarts
from jmap_proxy.config import Config
from jmap_proxy.errors import JmapProxyError, WorkerError
from jmap_proxy.proxy.wire.problem import problem_response
from jmap_proxy.status.metrics import workers_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from jmap_proxy.cli.listeners import Answer, Way
    from jmap_proxy.cli.opening import Listening
    from jmap_proxy.cli.role import OpenStreams, Reports
    from jmap_proxy.cli.workers.messages import Told
    from jmap_proxy.cli.workers.process import WorkerProcess
    from jmap_proxy.config import Limits

    BoundListeners = Mapping[str, Bound]
    Start = Callable[[Callable[[Told], None]], Awaitable[WorkerProcess]]

ROUND = 2.0
"""Seconds between two questions how a worker is doing; what it has counted since is lost when it dies."""

PATIENCE = 1.0
"""Seconds that whoever asks the admin listener waits for the workers' numbers; then those of before are told."""

HUNG = 15.0
"""Seconds after which a worker that does not answer is ended, and so replaced."""

LAST = 75.0
"""Seconds that a worker gets to end, besides `limits.shutdown`: hooks and refreshes under way take no longer."""

log = structlog.get_logger("jmap_proxy.cli")


class Crew(Role):
    """The workers of a supervisor.

    Args:
        size: How many there are to be.
        start: Starts one; it is given what is to hear of all that the worker tells. Raises WorkerError.
        heard: Is given what any worker tells.
        sleep: Waits for so many seconds before a worker is replaced.
        every: Seconds between two questions how a worker is doing.
        hung: Seconds after which a worker that does not answer is ended.
        last: Seconds that a worker gets to end, besides `limits.shutdown`.
    """

    def __init__(
        self,
        size: int,
        start: Start,
        heard: Callable[[Told], None],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        *,
        every: float = ROUND,
        hung: float = HUNG,
        last: float = LAST,
    ) -> None:
        self._size = size
        self._start = start
        self._heard = heard
        self._sleep = sleep
        self._every = every
        self._hung = hung
        self._last = last
        self._serving: dict[int, WorkerProcess] = {}
        self._replaced = 0
        self._agreed: tuple[Config, BoundListeners] = Config(), {}
        self._one_at_a_time = asyncio.Lock()
        self._keepers: list[asyncio.Task[None]] = []
        self._round: asyncio.Task[None] | None = None

    @property
    def is_well(self) -> bool:
        """Whether one of them serves; those that hang are seen to."""
        return bool(self._serving)

    @property
    def workers(self) -> Sequence[WorkerProcess]:
        """Those that serve now."""
        return list(self._serving.values())

    def listener(self, way: Way, limits: Limits) -> Listening:
        """See `Role`: all but the admin listener is bound for the workers."""
        return listener_of(way, limits) if way.name == "admin" else Bound(self._size)

    def admin(self, answer: Answer) -> Answer:
        """See `Role`: the workers are asked first."""

        async def ask_and_answer(request: web.BaseRequest) -> web.StreamResponse:
            if request.path == "/healthz":
                return await answer(request)
            await asyncio.gather(*(worker.ask(PATIENCE) for worker in self.workers))
            if request.path == "/readyz" and not self._serving:
                return problem_response(WorkerError("there is no worker just now; they are started again"))
            response = await answer(request)
            if request.path == "/metrics" and isinstance(response, web.Response) and isinstance(response.body, bytes):
                response.body += workers_text(len(self._serving), self._replaced)
            return response

        return ask_and_answer

    def reports(self, own: Reports) -> Reports:
        """See `Role`."""
        return lambda: combined_reports(own(), [told.reports for told in self._told()])

    def streams(self, own: OpenStreams) -> OpenStreams:
        """See `Role`; the supervisor has none."""
        del own
        return lambda: combined_streams(told.streams for told in self._told())

    async def agree(self, config: Config, listeners: Mapping[str, Listening]) -> None:
        """See `Role`: all workers take it up, or none; the first time they are started."""
        bound = {name: each for name, each in listeners.items() if isinstance(each, Bound)}
        async with self._one_at_a_time:
            if self._keepers:
                await _take_up(self._serving, config, bound, all_of_them=False)
            else:
                await self._begin(config, bound)
            self._agreed = config, bound

    async def close(self) -> None:
        """See `Role`; whoever does not answer meanwhile is not waited for."""
        for task in self._keepers:
            task.cancel()
        if self._keepers:
            await asyncio.wait(self._keepers)
        patience = self._last + self._agreed[0].limits.shutdown
        await asyncio.gather(*(worker.stop(patience) for worker in self.workers))
        self._serving.clear()
        if self._round is not None:
            self._round.cancel()

    async def _begin(self, config: Config, bound: BoundListeners) -> None:
        started = await asyncio.gather(*(self._start(self._heard) for _ in range(self._size)), return_exceptions=True)
        self._serving.update(enumerate(each for each in started if not isinstance(each, BaseException)))
        for error in started:
            if isinstance(error, BaseException):
                raise error
        await _take_up(self._serving, config, bound)
        log.info("workers are serving", pids=[worker.pid for worker in self.workers])
        self._keepers = [asyncio.create_task(self._keep(place), name=f"worker {place}") for place in range(self._size)]
        self._round = asyncio.create_task(self._go_round(), name="workers")

    async def _keep(self, place: int) -> None:
        """See that there is a worker in this place, for ever; to be cancelled."""
        restarts = Restarts()
        while True:
            worker = self._serving[place]
            code = await worker.ended()
            del self._serving[place]
            restarts = restarts.after(time.monotonic() - worker.started_at)
            log.error("a worker has ended and is replaced", pid=worker.pid, how=how(code), pause=restarts.pause)
            while place not in self._serving:
                if restarts.pause:
                    self._give_up(place)
                await self._sleep(restarts.pause)
                if not await self._replace(place):
                    restarts = restarts.after(0.0)

    def _give_up(self, place: int) -> None:
        for each in self._agreed[1].values():
            each.give_up(place)

    async def _replace(self, place: int) -> bool:
        """Start another worker in this place; whether it serves."""
        async with self._one_at_a_time:  # so it gets what all have, and no reload overlooks it
            try:
                worker = await self._start_one(place)
            except (JmapProxyError, OSError) as error:
                log.error("a worker could not be started", detail=str(error))
                return False
            self._serving[place] = worker
        self._replaced += 1
        log.info("a worker is serving", pid=worker.pid)
        return True

    async def _start_one(self, place: int) -> WorkerProcess:
        """One that goes by what was agreed upon. Raises JmapProxyError, OSError."""
        worker = await self._start(self._heard)
        try:
            await _take_up({place: worker}, *self._agreed)
        except BaseException:
            worker.kill()
            await worker.ended()
            raise
        return worker

    async def _go_round(self) -> None:
        """Ask them all again and again, and end those that do not answer."""
        while True:
            await asyncio.gather(*(worker.ask(PATIENCE) for worker in self.workers))
            for worker in self.workers:
                if worker.silent_for > self._hung:
                    log.error("a worker does not answer any more and is ended", pid=worker.pid)
                    worker.kill()
            await asyncio.sleep(self._every)

    def _told(self) -> list[Told]:
        return [worker.told for worker in self.workers if worker.told is not None]


async def _take_up(
    workers: Mapping[int, WorkerProcess], config: Config, bound: BoundListeners, *, all_of_them: bool = True
) -> None:
    """Let them all go on with this configuration.

    Args:
        workers: By place.
        config: The configuration.
        bound: All listeners.
        all_of_them: Whether none may end meanwhile. Otherwise that is no fault of the configuration, as long as another
            one can take it up: who is replaced goes by it then.

    Raises:
        JmapProxyError: one cannot; nothing has changed for the others.
        OSError: a socket cannot be opened anew.
    """
    every = list(workers.items())
    errors = await asyncio.gather(
        *(
            worker.prepare(config, {name: each.sockets(place) for name, each in bound.items()})
            for place, worker in every
        ),
        return_exceptions=True,
    )
    able = [worker for (_, worker), error in zip(every, errors, strict=True) if error is None]
    is_strict = all_of_them or not able
    failed = [error for error in errors if error is not None and (is_strict or not isinstance(error, WorkerError))]
    # one that ends now is replaced by one that goes by what was agreed upon
    await asyncio.gather(*(worker.decide(agreed=not failed) for worker in able), return_exceptions=True)
    if failed:
        raise failed[0]


def how(code: int) -> str:
    """How a process has ended. Pure."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"

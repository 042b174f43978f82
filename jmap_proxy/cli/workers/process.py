"""A worker as the supervisor sees it: a process, and the channel to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Self

import structlog

from jmap_proxy.cli.workers.channel import Channel
from jmap_proxy.cli.workers.messages import Ask, Decide, FromWorker, Prepared, Serving, Stop, TakeUp, Told, Unable
from jmap_proxy.errors import ConfigError, JmapProxyError, StoreError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import msgspec

    from jmap_proxy.config import Config

    Sockets = Mapping[str, Sequence[socket.socket]]

PATIENCE = 60.0
"""Seconds that a worker gets to take a configuration up; the first one takes it half a second."""

log = structlog.get_logger("jmap_proxy.cli")


class WorkerProcess:
    """A worker.

    Args:
        process: Its process.
        channel: To it.
        heard: Is given what it tells, each time.
        patience: Seconds that it gets for an answer.

    Attributes:
        started_at: Seconds of a clock that never goes back.
        told: What it has told last, None if it has told nothing yet.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        channel: Channel[FromWorker],
        heard: Callable[[Told], None],
        patience: float = PATIENCE,
    ) -> None:
        self.started_at = time.monotonic()
        self.told: Told | None = None
        self._process = process
        self._channel = channel
        self._heard = heard
        self._patience = patience
        self._answers: asyncio.Queue[FromWorker | None] = asyncio.Queue()
        self._asked: asyncio.Future[None] | None = None
        self._asked_at = 0.0
        self._reading = asyncio.create_task(self._read(), name=f"worker {process.pid}")

    @classmethod
    async def start(cls, command: Sequence[str], heard: Callable[[Told], None], patience: float = PATIENCE) -> Self:
        """Start one.

        Args:
            command: Program and arguments; the number of its end of the channel is added.
            heard: As above.
            patience: As above.

        Raises:
            WorkerError: it cannot be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,  # whoever reads ours shall see it end with us
                    start_new_session=True,  # a ^C at our terminal is for us, and we tell the workers
                )
            except OSError as error:
                ours.close()
                raise WorkerError(f"a worker cannot be started: {error.strerror}") from None
            except BaseException:
                ours.close()
                raise
        form: type[FromWorker] = FromWorker  # type: ignore[assignment] # msgspec takes a union for a type
        return cls(process, Channel(ours, form), heard, patience)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def silent_for(self) -> float:
        """Seconds for which it has owed an answer to `ask`."""
        return time.monotonic() - self._asked_at if self._asked is not None else 0.0

    async def prepare(self, config: Config, sockets: Sockets) -> None:
        """Let it prepare a configuration; `decide` is to follow.

        Raises:
            JmapProxyError: it cannot, and has left all as it was; or it does not answer, and is ended.
        """
        listeners = tuple(name for name, group in sockets.items() for _ in group)
        every = [each for group in sockets.values() for each in group]
        answer = await self._exchange(TakeUp(config, listeners), every)
        if isinstance(answer, Unable):
            kind: type[JmapProxyError] = ConfigError if answer.is_config else StoreError
            raise kind(answer.detail, hint=answer.hint)
        if not isinstance(answer, Prepared):
            raise self._confused()

    async def decide(self, *, agreed: bool) -> None:
        """Let it go on with what it has prepared, or not. Raises WorkerError: it does not do so, and is ended."""
        answer = await self._exchange(Decide(agreed))
        if not isinstance(answer, Serving if agreed else Unable):
            raise self._confused()

    async def ask(self, patience: float) -> None:
        """Let it tell how it is doing, which `heard` is given; returns then, or after `patience` seconds."""
        if self._reading.done():
            return
        if self._asked is None:
            self._asked, self._asked_at = asyncio.get_running_loop().create_future(), time.monotonic()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._channel.send(Ask()), patience)
        if self._asked is not None:
            await asyncio.wait([self._asked], timeout=patience)

    async def stop(self, patience: float) -> None:
        """Let it finish its requests and end; returns when it has ended. After `patience` seconds it is killed."""
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._channel.send(Stop()), patience)
        try:
            await asyncio.wait_for(self.ended(), patience)
        except TimeoutError:
            log.warning("a worker did not end in time and is killed", pid=self.pid)
            self.kill()
            await self.ended()

    async def ended(self) -> int:
        """Wait for its end, and for all that it has said before; the exit code, negative for a signal."""
        code = await self._process.wait()
        await asyncio.wait([self._reading])
        await self._channel.close()
        return code

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _exchange(self, message: msgspec.Struct, sockets: Sequence[socket.socket] = ()) -> FromWorker:
        """Its answer. Raises WorkerError: it has ended, or does not answer in time, and is ended."""
        try:
            async with asyncio.timeout(self._patience):
                await self._channel.send(message, sockets)
                answer = await self._answers.get()
        except (OSError, TimeoutError) as error:
            self.kill()
            how = "does not answer" if isinstance(error, TimeoutError) else "has ended"
            raise WorkerError(f"a worker (process {self.pid}) {how}") from None
        if answer is None:
            raise WorkerError(f"a worker (process {self.pid}) has ended")
        return answer

    def _confused(self) -> WorkerError:
        self.kill()
        return WorkerError(f"a worker (process {self.pid}) gives another answer than it was asked for")

    async def _read(self) -> None:
        """Until its end of the channel is closed."""
        try:
            while True:
                message, _ = await self._channel.receive()
                if isinstance(message, Told):
                    self._take(message)
                else:
                    self._answers.put_nowait(message)
        except EOFError:
            pass
        except Exception:  # such as a program that was replaced by another version since
            log.exception("what a worker says is not understood, so it is ended", pid=self.pid)
            self.kill()
        finally:
            self._answers.put_nowait(None)
            self._end_asking()

    def _take(self, told: Told) -> None:
        self.told = told
        self._heard(told)
        self._end_asking()

    def _end_asking(self) -> None:
        asked, self._asked = self._asked, None
        if asked is not None and not asked.done():
            asked.set_result(None)

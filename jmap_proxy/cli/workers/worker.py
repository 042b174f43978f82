"""The worker's role: it serves as the supervisor tells it to, and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.collector import leave_out_what_stays
from jmap_proxy.cli.role import Role
from jmap_proxy.cli.running import RunningProxy, stop_signals
from jmap_proxy.cli.workers.messages import Ask, Decide, Prepared, Serving, Stop, TakeUp, Told, ToWorker, Unable
from jmap_proxy.errors import ConfigError, JmapProxyError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

    from jmap_proxy.activation import Inherited
    from jmap_proxy.cli.opening import Listening
    from jmap_proxy.cli.role import OpenStreams, Reports
    from jmap_proxy.cli.workers.channel import Channel
    from jmap_proxy.config import Config
    from jmap_proxy.status.traffic import Traffic

log = structlog.get_logger("jmap_proxy.cli")


class Working(Role):
    """A worker's end of what is agreed upon.

    Args:
        channel: To the supervisor.
        traffic: What this worker has counted.
    """

    is_first = False

    def __init__(self, channel: Channel[ToWorker], traffic: Traffic) -> None:
        self._channel = channel
        self._traffic = traffic
        self._decision: asyncio.Future[bool] | None = None
        self._own_reports: Reports = dict
        self._own_streams: OpenStreams = dict

    def reports(self, own: Reports) -> Reports:
        """See `Role`; noted for the supervisor."""
        self._own_reports = own
        return own

    def streams(self, own: OpenStreams) -> OpenStreams:
        """See `Role`; noted for the supervisor."""
        self._own_streams = own
        return own

    async def agree(self, config: Config, listeners: Mapping[str, Listening]) -> None:
        """See `Role`: the supervisor says whether the others can."""
        del config, listeners
        self._decision = asyncio.get_running_loop().create_future()
        await self._channel.send(Prepared())
        if not await self._decision:
            raise ConfigError("another process cannot take it up")

    def decide(self, *, agreed: bool) -> None:
        """What the supervisor says."""
        if self._decision is not None and not self._decision.done():
            self._decision.set_result(agreed)

    def told(self) -> Told:
        """How this worker is doing."""
        streams = tuple((account, kind, number) for (account, kind), number in self._own_streams().items())
        return Told(dict(self._own_reports()), streams, self._traffic.hand_over())


class Worker:
    """A worker, from the first configuration to its end.

    Args:
        channel: To the supervisor.
        proxy: What it serves with.
        role: Of that proxy.
        stopped: Set when it is to end.
    """

    def __init__(self, channel: Channel[ToWorker], proxy: RunningProxy, role: Working, stopped: asyncio.Event) -> None:
        self._channel = channel
        self._proxy = proxy
        self._role = role
        self._stopped = stopped
        self._taking: asyncio.Task[None] | None = None

    async def run(self, first: TakeUp, sockets: Sequence[socket.socket]) -> None:
        """Serve until the end, and let the requests in flight finish then."""
        self._obey(first, sockets)
        leave_out_what_stays()
        listening = asyncio.create_task(self._listen(), name="supervisor")
        await self._stopped.wait()
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait([self._taking])
        await self._proxy.close()
        listening.cancel()
        await asyncio.wait([listening])

    async def _listen(self) -> None:
        """Do as the supervisor says, as long as there is one."""
        try:
            while True:
                message, sockets = await self._channel.receive()
                if isinstance(message, Ask):
                    await self._channel.send(self._role.told())
                else:
                    self._obey(message, sockets)
        except (EOFError, OSError):
            if self._stopped.is_set():  # it did not wait for us, so we need not wait either
                os.kill(os.getpid(), signal.SIGKILL)
            log.error("the supervisor has gone, so this worker ends")
        except Exception:  # such as a program that was replaced by another version since
            log.exception("what the supervisor says is not understood, so this worker ends")
        finally:
            self._stopped.set()

    def _obey(self, message: ToWorker, sockets: Sequence[socket.socket]) -> None:
        if isinstance(message, TakeUp):
            handed: Inherited = {}
            for name, each in zip(message.listeners, sockets, strict=True):
                handed.setdefault(name, []).append(each)
            self._taking = asyncio.create_task(self._take_up(message.config, handed), name="configuration")
        elif isinstance(message, Decide):
            self._role.decide(agreed=message.agreed)
        elif isinstance(message, Stop):
            self._stopped.set()

    async def _take_up(self, config: Config, handed: Inherited) -> None:
        answer: Serving | Unable = Serving()
        try:
            await self._proxy.take_up(config, handed)
        except JmapProxyError as error:
            answer = Unable(error.detail, error.hint, isinstance(error, ConfigError))
        except Exception as error:  # the supervisor decides what becomes of it
            log.exception("the configuration cannot be taken up")
            answer = Unable(f"unforeseen: {type(error).__name__}", "see the log", is_config=False)
        with contextlib.suppress(OSError):  # then the supervisor has gone, which is seen elsewhere
            await self._channel.send(answer)


async def work(channel: Channel[ToWorker]) -> None:
    """Serve until the supervisor says that it is enough, or has gone, or SIGTERM comes."""
    stopped = stop_signals()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: None)  # reloads begin at the supervisor
    with contextlib.suppress(EOFError):
        first, sockets = await channel.receive()
        if isinstance(first, TakeUp):
            async with Assembly(first.config) as assembly:
                role = Working(channel, assembly.traffic)
                await Worker(channel, RunningProxy(assembly, {}, role), role, stopped).run(first, sockets)
    await channel.close()

"""A worker that behaves as it is told to: `python -m tests.support.scripted_worker BEHAVIOUR CHANNEL`."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING

from jmap_proxy.cli.workers.channel import Channel
from jmap_proxy.cli.workers.messages import Ask, Decide, Prepared, Serving, Stop, TakeUp, Told, ToWorker
from jmap_proxy.cli.workers.messages import Unable as Cannot
from jmap_proxy.status.traffic import Counts
from jmap_proxy.tokens.report import State, TokenReport

if TYPE_CHECKING:
    import msgspec

TOLD = Told(
    {"alice": TokenReport(state=State.RETRYING)},
    (("alice", "events", 2),),
    Counts({"api": ({200: 3}, [3, *[0] * 11], 1.0)}),
)


async def behave(behaviour: str, channel: Channel[ToWorker]) -> None:
    """Answer until it is told to stop, or as long as it behaves well."""
    while behaviour != "ends":
        message, _ = await channel.receive()
        if (isinstance(message, Stop) and not behaviour.endswith("stays")) or (
            isinstance(message, TakeUp) and behaviour == "ends-asked"
        ):
            return
        for answer in answers(behaviour, message):
            await channel.send(answer)
        if isinstance(message, Decide):
            behaviour = later(behaviour)


def later(behaviour: str) -> str:
    """How it behaves when it has served for the first time."""
    if behaviour == "serves-and-ends":
        sys.exit(3)
    return {"unable-later": "unable", "ends-later": "ends-asked"}.get(behaviour, behaviour)


def answers(behaviour: str, message: ToWorker) -> list[msgspec.Struct]:
    """What it says."""
    if behaviour == "foreign":
        return [message]
    if isinstance(message, Ask):
        return [] if behaviour.startswith(("silent", "hangs")) else [TOLD]
    if isinstance(message, TakeUp):
        said: dict[str, list[msgspec.Struct]] = {
            "unable": [Cannot("no such key", "write it", is_config=True)],
            "unable-store": [Cannot("no such file", "", is_config=False)],
            "confused": [Serving()],
            "hangs": [],
        }
        return said.get(behaviour, [Prepared()])
    if isinstance(message, Decide) and message.agreed and behaviour != "confused-later":
        return [Serving()]
    return [Cannot("another one cannot", "", is_config=True)]


if __name__ == "__main__":
    messages: type[ToWorker] = ToWorker  # type: ignore[assignment] # msgspec takes a union for a type
    asyncio.run(behave(sys.argv[1], Channel(socket.socket(fileno=int(sys.argv[2])), messages)))

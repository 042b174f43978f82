"""Planting faults in a healthy installation, and seeing what the doctor says."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from jmap_proxy.tokens.envelope import seal
from tests.support.world import NAME

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jmap_proxy.tokens.losses import Loss
    from tests.doctor.conftest import Patient
    from tests.support.scripted_server import Scripted

    Plant = Callable[["Planting"], Awaitable[None]]


@dataclass
class Planting:
    """A patient, what is to be cleaned up in the end, and with what else the doctor is called."""

    patient: Patient
    stack: AsyncExitStack
    args: tuple[str, ...] = ()

    async def serve(self, server: Scripted) -> str:
        """Start a server; its origin."""
        return (await self.stack.enter_async_context(server)).origin

    async def save(self, **changes: Any) -> None:
        """Change the stored tokens."""
        world = self.patient.world
        await world.assembly().store(NAME).save(msgspec.structs.replace(await world.stored(), **changes))

    async def write_sealed(self, **changes: Any) -> None:
        """Change the stored tokens in a way that the store would not."""
        world = self.patient.world
        tokens = msgspec.structs.replace(await world.stored(), **changes)
        world.token_file.write_bytes(seal(tokens, world.assembly().data_key.current()))

    def note_losses(self, *losses: Loss) -> None:
        """Write the account's lost sign-ins."""
        path = self.patient.world.token_file.with_suffix(".losses")
        path.write_bytes(msgspec.json.encode(losses))
        path.chmod(0o600)


@dataclass(frozen=True)
class Planted:
    """A fault.

    Attributes:
        code: What the doctor calls it.
        mend: A part of what it says to do.
        level: How bad it is.
        plant: Plants it.
        besides: Codes that are told too, since they are so.
    """

    code: str
    mend: str
    level: str
    plant: Plant
    besides: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What is planted, for the test's name."""
        return self.plant.__name__.removeprefix("_")


class Plants:
    """Faults to be planted one by one."""

    def __init__(self) -> None:
        self.all: list[Planted] = []

    def __call__(self, code: str, mend: str, level: str = "error", *besides: str) -> Callable[[Plant], Plant]:
        """Marks a function that plants a fault."""

        def take(plant: Plant) -> Plant:
            self.all.append(Planted(code, mend, level, plant, besides))
            return plant

        return take


async def assert_found(patient: Patient, planted: Planted) -> None:
    """One fault, one finding, with what mends it; the exit code is 1 for an error, else 0."""
    async with AsyncExitStack() as stack:
        planting = Planting(patient, stack)
        await planted.plant(planting)
        ended, told = await patient.examine(*planting.args)
    assert [each["code"] for each in told] == [planted.code, *planted.besides]
    assert told[0]["level"] == planted.level
    assert planted.mend in told[0]["mend"]
    assert ended.code == (1 if planted.level == "error" else 0)

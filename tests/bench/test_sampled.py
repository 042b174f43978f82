from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.sampled import name_of, stack_of

if TYPE_CHECKING:
    from types import CodeType, FrameType


class Runner:
    """Stands for asyncio's, by its name."""

    def run(self, inside: list[tuple[CodeType, ...] | None], *, begins: bool) -> None:
        """Look at a call, either as it begins or in its middle."""

        def look(frame: FrameType, _event: str, _argument: object) -> None:
            inside.append(stack_of(frame))

        if begins:
            sys.setprofile(look)
        outer(inside)
        sys.setprofile(None)


def outer(inside: list[tuple[CodeType, ...] | None]) -> None:
    """What the loop calls."""
    inside.append(stack_of(sys._getframe()))


def test_what_runs_below_the_loop_is_noted_by_name() -> None:
    """Innermost first; what is outside of it is not."""
    inside: list[tuple[CodeType, ...] | None] = []
    Runner().run(inside, begins=False)
    assert [[name_of(code) for code in stack or ()] for stack in inside] == [["test_sampled.py:outer"]]
    assert stack_of(sys._getframe()) is None


def test_a_function_that_just_begins_has_done_nothing_yet() -> None:
    """What is seen then was its caller's time: here the loop's."""
    inside: list[tuple[CodeType, ...] | None] = []
    Runner().run(inside, begins=True)
    assert inside[0] == ()

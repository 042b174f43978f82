"""The option --workers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = TypeVar("Command", bound=Callable[..., Any])

AUTO = "auto"

MOST = 128


def with_workers(command: Command) -> Command:
    """Adds --workers; the command gets their number as `workers`."""
    return click.option(
        "--workers",
        metavar=f"NUMBER|{AUTO}",
        default="1",
        show_default=True,
        callback=_parse,
        help=f"Processes that serve; {AUTO}: one for each core. limits.connections holds for each of them.",
    )(command)


def worker_count(text: str, cores: int) -> int:
    """The number in "4", or one for each core in "auto". Pure.

    Args:
        text: As the user writes it.
        cores: That the program may use.

    Raises:
        ValueError: it is neither.
    """
    if text == AUTO:
        return max(1, min(MOST, cores))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST):
        raise ValueError(f"{text!r} is neither a number from 1 to {MOST} nor {AUTO}")
    return int(text)


def usable_cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def _parse(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    try:
        return worker_count(text.lower(), usable_cores())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None

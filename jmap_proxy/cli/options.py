"""What the commands have in common: options, and running a coroutine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jmap_proxy.config import Config, load_config
from jmap_proxy.log import LEVELS, configure_logging
from jmap_proxy.paths import config_file

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Command = TypeVar("Command", bound=Callable[..., Any])

Result = TypeVar("Result")


def _load(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Config:
    return load_config(path or config_file(os.environ))


def _place(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path:
    return path or config_file(os.environ)


def _set_level(_context: click.Context, _parameter: click.Parameter, level: str) -> str:
    configure_logging(level)
    return level


def with_config(command: Command) -> Command:
    """Adds --config; the command gets the checked configuration as `config`."""
    return _config_option("config", _load)(command)


def with_config_file(command: Command) -> Command:
    """Adds --config; the command gets the place of the configuration file as `config_file`."""
    return _config_option("config_file", _place)(command)


def _config_option(name: str, callback: Callable[..., Any]) -> Callable[[Command], Command]:
    return click.option(
        "--config",
        name,
        type=click.Path(path_type=Path, dir_okay=False),
        callback=callback,
        help="The configuration file (default: $JMAP_PROXY_CONFIG, else in the platform's config folder).",
    )


def with_log_level(default: str) -> Callable[[Command], Command]:
    """Adds --log-level, and sets up the logging with it."""
    return click.option(
        "--log-level",
        type=click.Choice(LEVELS),
        default=default,
        show_default=True,
        callback=_set_level,
        expose_value=False,
        help="How much is logged on stderr.",
    )


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end, on uvloop where that is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - an extra
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop

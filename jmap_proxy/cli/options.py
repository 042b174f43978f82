"""What the commands have in common: options, and running a coroutine."""

from __future__ import annotations

import asyncio
import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from jmap_proxy.config import Config, load_config
from jmap_proxy.errors import ConfigError
from jmap_proxy.log import FORMATS, LEVELS, Levels, configure_logging, parse_levels
from jmap_proxy.paths import config_file

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Command = TypeVar("Command", bound=Callable[..., Any])

Result = TypeVar("Result")

THREADS = 64
"""For files, made as they are needed; of the usual few, a disk or a keyring that hangs for one account takes all."""


def _load(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Config:
    return load_config(path or config_file(os.environ))


def _place(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path:
    return path or config_file(os.environ)


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


def is_there(config_file: Path) -> bool:
    """Whether there is a configuration file. Raises ConfigError where that cannot be seen."""
    try:
        config_file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        reason = f"{config_file} cannot be read: {error.strerror}"
        raise ConfigError(reason, hint=f"check who owns {config_file.parent}") from None
    return True


def with_log_level(default: str) -> Callable[[Command], Command]:
    """Adds --log-level and --log-format, and sets up the logging with them."""

    def decorate(command: Command) -> Command:
        @click.option(
            "--log-level",
            metavar="LEVEL[,AREA=LEVEL…]",
            default=default,
            show_default=True,
            callback=functools.partial(_levels, default),
            help=f"How much is logged on stderr: {', '.join(LEVELS)}; for parts apart: warning,proxy=debug.",
        )
        @click.option(
            "--log-format",
            type=click.Choice(FORMATS),
            default=FORMATS[0],
            show_default=True,
            help="For people, or an object in each line.",
        )
        @functools.wraps(command)
        def logging_command(*args: Any, log_level: Levels, log_format: str, **kwargs: Any) -> Any:
            configure_logging(log_level, log_format)
            return command(*args, **kwargs)

        return cast("Command", logging_command)

    return decorate


def _levels(default: str, _context: click.Context, _parameter: click.Parameter, text: str) -> Levels:
    try:
        return parse_levels(text, default)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end, on uvloop where that is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.get_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="jmap-proxy"))
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - an extra
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop

"""Structured logs on stderr. Nothing secret is logged anywhere; a processor masks, should it happen all the same.

How much is logged is said by the levels of the standard logging, for each area apart: an area is what follows
`jmap_proxy.` in a logger's name.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO, cast

import structlog

from jmap_proxy.request_id import current_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    Event = MutableMapping[str, Any]

LEVELS = ("debug", "info", "warning", "error", "critical")

PACKAGE = "jmap_proxy"

AREAS = ("cli", "hook", "http", "loopback", "oauth", "proxy", "status", "tls", "tokens")
"""The parts of the program that log, each with a level of its own if one is set."""

FORMATS = ("console", "json")

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""How the journal calls the levels (sd-daemon(3))."""

_SECRET = re.compile(
    r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"
    r"|\bjp[0-9a-f]{64}\b"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"
    r"|\b((?:access|refresh|id)_token|(?:device_|user_)?code|code_verifier|client_secret|password|state)"
    r"[\"'\\]{0,3}\s?[=:]\s?[\"'\\]{0,3}[\w.~+/=-]{8,}"
)


def mask(text: str) -> str:
    """The text with everything that looks like a credential replaced."""
    return _SECRET.sub("[hidden]", text)


def mask_values(_logger: object, _method: str, event: Event) -> Event:
    """A structlog processor: masks all values, the rendered traceback and the repr of other objects included."""
    for key, value in event.items():
        text = value if isinstance(value, str) else repr(value)
        if (masked := mask(text)) != text:
            event[key] = masked
    return event


@dataclass(frozen=True, slots=True)
class Levels:
    """How much is logged.

    Attributes:
        default: One of `LEVELS`; for libraries, too.
        areas: The levels of areas that have one of their own.
    """

    default: str
    areas: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """As `parse_levels` takes them."""
        return ",".join([self.default, *(f"{area}={level}" for area, level in self.areas.items())])

    @property
    def lowest(self) -> int:
        """The level below which nothing is logged anywhere, as the standard logging counts it."""
        return min(map(_number, (self.default, *self.areas.values())))


def parse_levels(text: str, default: str) -> Levels:
    """Levels as they are written: "info", "warning,proxy=debug,tokens=info", "proxy=debug". Pure.

    Args:
        text: One level for all, or levels for areas, or both.
        default: For all, where the text has none.

    Raises:
        ValueError: an unknown level or area, or one twice.
    """
    levels: dict[str, str] = {}
    for part in text.lower().split(","):
        area, _, level = part.strip().rpartition("=")
        if level not in LEVELS:
            raise ValueError(f"{level!r} is not one of {', '.join(map(repr, LEVELS))}")
        if area and area not in AREAS:
            raise ValueError(f"there is no area {area!r}; there is {', '.join(AREAS)}")
        if area in levels:
            raise ValueError(f"{area or 'the level for all'} is set twice")
        levels[area] = level
    return Levels(levels.pop("", default), levels)


class _Unfailing:
    """A stream for log lines: what it does not take (a full disk behind it, a closed pipe) must stop nobody's work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flush if that is possible."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()


class _Lines(structlog.WriteLogger):
    """Writes the lines of one logger.

    Attributes:
        logger: Of the standard logging; knows the level.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        super().__init__(stream)
        self.logger = logging.getLogger(name)


class _ForeignLines(logging.Formatter):
    """Lines of libraries that use the standard logging: in the same shape, and masked."""

    def __init__(self, processors: Iterable[Any]) -> None:
        super().__init__()
        self._processors = processors

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        line: Any = {"event": record.getMessage(), "level": level, "logger": record.name}
        if record.exc_info:
            line["exc_info"] = record.exc_info
        for each in self._processors:
            line = each(None, level, line)
        return str(line)


def configure_logging(levels: Levels, form: str = "console") -> None:
    """Set up structlog and the standard logging for the process; `form` is one of `FORMATS`.

    Lines that the journal takes have its priorities, and no time of their own, since it notes that.
    """
    for area in AREAS:
        logging.getLogger(f"{PACKAGE}.{area}").setLevel(_number(levels.areas.get(area, "notset")))
    stream = cast("TextIO", _Unfailing(sys.stderr))
    shaped = _shaping(form)
    structlog.configure(
        processors=[_drop_below, structlog.processors.add_log_level, _add_area, *shaped],
        wrapper_class=structlog.make_filtering_bound_logger(levels.lowest),
        logger_factory=lambda name=PACKAGE: _Lines(stream, name),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_ForeignLines(shaped))
    logging.basicConfig(level=_number(levels.default), handlers=[handler], force=True)


def _shaping(form: str) -> list[Any]:
    """What makes a line of an event."""
    to_journal = _is_journal(sys.stderr)
    shaping: list[Any] = [_add_request_id]
    if form == "json" or not to_journal:
        shaping.append(structlog.processors.TimeStamper(fmt="iso", utc=True))
    shaping += [structlog.processors.format_exc_info, mask_values]  # the former: lines of source, never values
    if form == "json":
        return [*shaping, structlog.processors.JSONRenderer()]
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False)
    return [*shaping, _with_priority(console) if to_journal else console]


def _number(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _drop_below(lines: _Lines, method: str, event: Event) -> Event:
    if not lines.logger.isEnabledFor(_number(method)):
        raise structlog.DropEvent
    return event


def _add_area(lines: _Lines, _method: str, event: Event) -> Event:
    event["logger"] = lines.logger.name
    return event


def _add_request_id(_logger: object, _method: str, event: Event) -> Event:
    if (request := current_request()) is not None:
        event["request_id"] = str(request)
    return event


def _with_priority(console: structlog.dev.ConsoleRenderer) -> Any:
    def render(logger: Any, method: str, event: Event) -> str:
        priority = PRIORITIES.get(str(event.get("level")), PRIORITIES["info"])
        return "\n".join(f"<{priority}>{line}" for line in console(logger, method, event).splitlines())

    return render


def _is_journal(stream: TextIO) -> bool:
    """Whether the stream goes to the journal: then its device and inode stand in the environment (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # a stream that is no file
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"

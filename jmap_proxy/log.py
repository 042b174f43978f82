"""Structured logs on stderr. Nothing secret is logged anywhere; a processor masks, should it happen all the same."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import Any

LEVELS = ("debug", "info", "warning", "error")

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


def mask_values(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: masks all values, the rendered traceback and the repr of other objects included."""
    for key, value in event.items():
        text = value if isinstance(value, str) else repr(value)
        if (masked := mask(text)) != text:
            event[key] = masked
    return event


class _ForeignLines(logging.Formatter):
    """Lines of libraries that use the standard logging: masked, in the same shape."""

    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


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


def configure_logging(level: str) -> None:
    """Set up structlog and the standard logging for the process; `level` is one of LEVELS."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # lines of source, never the values of variables
            mask_values,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Unfailing(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_ForeignLines("%(asctime)s [%(levelname)s] %(name)s %(message)s"))
    logging.basicConfig(level=threshold, handlers=[handler], force=True)

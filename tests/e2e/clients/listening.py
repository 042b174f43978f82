"""What a client that listens says on stdout, a JSON line each, flushed: the harness reads along.

{"opened": 200}      a connection was opened: the status of the answer to it
{"changed": {...}}   a state event: new states by account id and data type
{"answered": [...]}  a response over the same connection: the names of the mailboxes
"""

from __future__ import annotations

import json
import logging
import os
import re

URL = os.environ["JMAP_URL"]  # scheme, host and port
KEY = os.environ["JMAP_KEY"]


def say(**words: object) -> None:
    """Prints one line."""
    print(json.dumps(words), flush=True)


class _Opened(logging.Handler):
    """Says when the answer to a request for events has begun: the HTTP library logs it, the client does not tell."""

    def emit(self, record: logging.LogRecord) -> None:
        """Looks for the status in what is logged about the event source, and only there."""
        text = record.getMessage()
        status = re.search(r"HTTP/1\.1\"? (\d{3})", text)
        if "closeafter" in text and status:
            say(opened=int(status[1]))


def say_when_opened(logger: str) -> None:
    """Listens to the HTTP library's logger."""
    logging.getLogger(logger).addHandler(_Opened())
    logging.getLogger(logger).setLevel(logging.DEBUG)

"""Plain HTTP requests of the harness itself: one connection each, no redirects, no environment."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def fetch(url: str, *, headers: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None) -> Answer:
    """GETs the URL, or POSTs a form to it."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    sent = dict(headers or {})
    body = None
    if form is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(form)
    try:
        connection.request("GET" if form is None else "POST", target, body, sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def status_of(url: str) -> int | None:
    """The status of a GET, None while nobody listens there."""
    try:
        return fetch(url).status
    except OSError:
        return None

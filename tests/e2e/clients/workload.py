"""What each client is asked to do, once or for a while; one JSON line on stdout tells how it went.

    JMAP_URL=… JMAP_KEY=… python NAME_client.py [--seconds N] [--workers N]

`operations` counts calls that ended well, `failures` describes the others, `seen` holds what the first round saw.
Nothing is tried twice: what a client raises is a failure.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

URL = os.environ["JMAP_URL"]  # scheme, host and port
KEY = os.environ["JMAP_KEY"]
BLOB_BYTES = 300_000
ENOUGH_FAILURES = 100


class MailClient(Protocol):
    """What the script of a client provides."""

    def mailboxes(self) -> list[str]:
        """Names of all mailboxes."""

    def query(self) -> list[str]:
        """Ids of the messages in the inbox, newest first."""

    def fetch(self, ids: list[str]) -> list[str]:
        """Subjects of the messages."""

    def upload(self, file: Path) -> str:
        """The id of the new blob."""

    def download(self, blob_id: str, file: Path) -> bytes:
        """The blob's bytes; the client may write them to the file on the way."""

    def close(self) -> None:
        """Closes its connections."""


class RoundFailedError(Exception):
    """A call failed; the report has it already."""


class Report:
    """What the workers did; they share it."""

    def __init__(self) -> None:
        self.operations = 0
        self.slowest = 0.0
        self.failures: list[str] = []
        self._lock = threading.Lock()

    def call(self, name: str, function: Callable[..., Any], *arguments: object) -> Any:
        """Calls the function and writes down how it went."""
        began = time.monotonic()
        try:
            answer = function(*arguments)
        except Exception as error:
            with self._lock:
                self.failures.append(f"{name}: {type(error).__name__}: {error}"[:600])
            raise RoundFailedError from error
        with self._lock:
            self.operations += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
        return answer


def check(condition: object, complaint: str) -> None:
    """Raises the complaint unless the condition holds."""
    if not condition:
        raise AssertionError(complaint)


def some(values: list[str]) -> list[str]:
    """The values; there must be some."""
    check(values, "the answer is empty")
    return values


def compare(client: MailClient, folder: Path, size: int) -> None:
    """Uploads random bytes, downloads the blob and compares."""
    data, there = os.urandom(size), folder / "there.bin"
    there.write_bytes(data)
    back = client.download(client.upload(there), folder / "back.bin")
    check(back == data, f"{size} bytes came back as {len(back)} others")


def one_round(report: Report, connect: Callable[[], MailClient], size: int) -> dict[str, Any]:
    """Connects anew and asks for everything; what it saw, for the test to look at."""
    client: MailClient = report.call("connect", connect)
    try:
        mailboxes = report.call("mailboxes", lambda: some(client.mailboxes()))
        ids = report.call("query", lambda: some(client.query()))
        subjects = report.call("fetch", lambda: some(client.fetch(ids)))
        with tempfile.TemporaryDirectory() as folder:
            report.call("blob", compare, client, Path(folder), size)
    finally:
        client.close()
    return {"mailboxes": mailboxes, "ids": ids, "subjects": subjects, "blob_bytes": size}


def worker(report: Report, connect: Callable[[], MailClient], deadline: float) -> None:
    """Rounds until the deadline, with blobs of all sizes."""
    while time.monotonic() < deadline and len(report.failures) < ENOUGH_FAILURES:
        try:
            one_round(report, connect, 1 + secrets.randbelow(BLOB_BYTES))
        except RoundFailedError:
            continue


def for_a_while(report: Report, connect: Callable[[], MailClient], seconds: float, workers: int) -> None:
    """Several workers at once, each with connections of its own."""
    deadline = time.monotonic() + seconds
    threads = [threading.Thread(target=worker, args=(report, connect, deadline)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run(connect: Callable[[], MailClient]) -> None:
    """The main function of a client's script; `connect` makes the object that drives the client."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    report, seen = Report(), {}
    try:
        seen = one_round(report, connect, BLOB_BYTES)
        for_a_while(report, connect, options.seconds, options.workers)
    except RoundFailedError:
        pass  # in the first round: the report says it
    summary = {"operations": report.operations, "failures": report.failures, "slowest": round(report.slowest, 3)}
    print(json.dumps({**summary, "seen": seen}))

"""Drives jmax, with Basic: its command as a person would, a process a call, and its client class for blobs.

The command has no verb for an upload, and its download wants a message's attachment.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import workload
from jmax.config import Config
from jmax.jmap import JmapClient

COMMAND = str(Path(sys.executable).with_name("jmax"))
MOST_FETCHED = 2


def command(*words: str) -> str:
    """What the command prints; it ends with 0 or this raises."""
    environment = {"JMAP_URL": workload.URL, "JMAP_USER": "anybody", "JMAP_PASSWORD": workload.KEY}
    done = subprocess.run([COMMAND, *words], env=environment, capture_output=True, text=True, check=False)
    workload.check(done.returncode == 0, f"jmax {words[0]} ended with {done.returncode}: {done.stderr}")
    return done.stdout


class Jmax:
    """The command, and a client for blobs."""

    def __init__(self) -> None:
        settings = Config(url=workload.URL, user="anybody", password=workload.KEY, token=None, account_id=None)
        self._client = JmapClient(settings)
        self._client.session()

    def mailboxes(self) -> list[str]:
        """Names of all mailboxes."""
        return sorted(mailbox["name"] for mailbox in json.loads(command("mailboxes")))

    def query(self) -> list[str]:
        """Ids of the messages in the inbox, newest first."""
        return [message["id"] for message in json.loads(command("search", "--in", "inbox"))]

    def fetch(self, ids: list[str]) -> list[str]:
        """Subjects of the first few messages: each one is a process."""
        return [command("get", message_id, "--subject").strip() for message_id in ids[:MOST_FETCHED]]

    def upload(self, file: Path) -> str:
        """The id of the new blob."""
        return self._client.upload(file.read_bytes(), "application/octet-stream")["blobId"]

    def download(self, blob_id: str, file: Path) -> bytes:
        """The blob's bytes."""
        return self._client.download(blob_id, name=file.name)

    def close(self) -> None:
        """Closes its connections."""
        self._client.__exit__()


if __name__ == "__main__":
    workload.run(Jmax)

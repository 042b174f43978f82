"""Drives jmaplib (imported as `jmap`) through its public API, with Bearer.

It would try a refused request again by itself; its retry policy is set to one attempt, so that every failure counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import workload
from jmap.auth import BearerAuth
from jmap.client import JMAPClient
from jmap.core.retry import RetryPolicy

if TYPE_CHECKING:
    from pathlib import Path


class Jmaplib:
    """One client, one httpx client."""

    def __init__(self) -> None:
        self._client = JMAPClient.connect(
            f"{workload.URL}/.well-known/jmap",
            auth=BearerAuth(workload.KEY),
            retry_policy=RetryPolicy(max_attempts=1),
        )

    def mailboxes(self) -> list[str]:
        """Names of all mailboxes."""
        with self._client.batch() as batch:
            found = batch.mail.mailbox.get(ids=None)
        self._inbox = next(mailbox.id for mailbox in found.result.items if mailbox.role == "inbox")
        return sorted(mailbox.name for mailbox in found.result.items)

    def query(self) -> list[str]:
        """Ids of the messages in the inbox, newest first."""
        with self._client.batch() as batch:
            found = batch.mail.email.query(
                filter={"inMailbox": self._inbox},
                sort=[{"property": "receivedAt", "isAscending": False}],
                calculate_total=True,
            )
        return list(found.result.ids)

    def fetch(self, ids: list[str]) -> list[str]:
        """Subjects of the messages; the bodies come along."""
        with self._client.batch() as batch:
            found = batch.mail.email.get(
                ids=ids, properties=["subject", "textBody", "bodyValues"], fetchTextBodyValues=True
            )
        return [email.subject for email in found.result.items]

    def upload(self, file: Path) -> str:
        """The id of the new blob."""
        return self._client.upload(file.read_bytes(), content_type="application/octet-stream").blob_id

    def download(self, blob_id: str, file: Path) -> bytes:
        """The blob's bytes."""
        return self._client.download(blob_id, name=file.name)

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()


if __name__ == "__main__":
    workload.run(Jmaplib)

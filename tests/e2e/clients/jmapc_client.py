"""Drives jmapc through its public API, with Basic.

It speaks https only and takes its certificate authority from REQUESTS_CA_BUNDLE. It writes a download to the file as it
came over the wire, compressed or not, so for that call its requests session is told to ask for no compression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import workload
from jmapc import Client, Comparator, EmailQueryFilterCondition
from jmapc.methods import EmailGet, EmailQuery, MailboxGet
from jmapc.models import EmailBodyPart

if TYPE_CHECKING:
    from pathlib import Path


class Jmapc:
    """One client, one requests session."""

    def __init__(self) -> None:
        self._client = Client.create_with_password(urlsplit(workload.URL).netloc, "anybody", workload.KEY)
        self._client.jmap_session  # noqa: B018 - the attribute fetches the Session

    def mailboxes(self) -> list[str]:
        """Names of all mailboxes."""
        found = self._client.request(MailboxGet(ids=None), raise_errors=True).data
        self._inbox = next(mailbox.id for mailbox in found if mailbox.role == "inbox")
        return sorted(mailbox.name for mailbox in found)

    def query(self) -> list[str]:
        """Ids of the messages in the inbox, newest first."""
        newest_first = [Comparator(property="receivedAt", is_ascending=False)]
        in_inbox = EmailQueryFilterCondition(in_mailbox=self._inbox)
        return self._client.request(EmailQuery(filter=in_inbox, sort=newest_first), raise_errors=True).ids

    def fetch(self, ids: list[str]) -> list[str]:
        """Subjects of the messages; the bodies come along."""
        wanted = EmailGet(ids=ids, properties=["subject", "bodyValues"], fetch_all_body_values=True)
        return [email.subject for email in self._client.request(wanted, raise_errors=True).data]

    def upload(self, file: Path) -> str:
        """The id of the new blob."""
        return self._client.upload_blob(file).id

    def download(self, blob_id: str, file: Path) -> bytes:
        """The blob's bytes."""
        part = EmailBodyPart(blob_id=blob_id, name="back.bin", type="application/octet-stream")
        headers = self._client.requests_session.headers
        usual, headers["Accept-Encoding"] = headers["Accept-Encoding"], "identity"
        self._client.download_attachment(part, file)
        headers["Accept-Encoding"] = usual
        return file.read_bytes()

    def close(self) -> None:
        """Closes its connections."""
        self._client.requests_session.close()


if __name__ == "__main__":
    workload.run(Jmapc)

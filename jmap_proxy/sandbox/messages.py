"""The sandbox's mail: its mailboxes and messages, as JMAP objects and RFC 5322 text. No methods, no HTTP."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

_FIRST_ARRIVAL = datetime(2026, 1, 5, 7, 30, tzinfo=UTC)
_BETWEEN_ARRIVALS = timedelta(hours=5, minutes=17)
_PREVIEW = 80
"""Characters of the text in a preview."""

_ROLES = {"inbox": "Inbox", "archive": "Archive", "drafts": "Drafts", "sent": "Sent", "trash": "Trash"}
_RIGHTS = {
    "mayReadItems": True,
    "mayAddItems": False,
    "mayRemoveItems": False,
    "maySetSeen": False,
    "maySetKeywords": False,
    "mayCreateChild": False,
    "mayRename": False,
    "mayDelete": False,
    "maySubmit": False,
}


@dataclass(frozen=True)
class _Letter:
    """What a message says, and where it lies."""

    role: str
    name: str
    address: str
    subject: str
    text: str


_LETTERS = (
    _Letter(
        "inbox",
        "Zoë Brontë",
        "zoe@example.org",
        "Grüße aus Zürich",
        "Das Treffen ist am Donnerstag um zehn.\nBis dann!\n",
    ),
    _Letter(
        "inbox",
        "山田太郎",
        "taro@example.jp",
        "会議の議事録",
        "昨日の会議の議事録をお送りします。\nご確認ください。\n",
    ),
    _Letter(
        "archive",
        "Łukasz Żak",
        "lukasz@example.pl",
        "Faktura nr 7/2026: zażółć gęślą jaźń",
        "W załączeniu faktura za styczeń.\n",
    ),
    _Letter(
        "inbox",
        "Build Robot",
        "robot@example.com",
        "Build 4711 passed ✅",
        "All 1,312 tests passed in 48 seconds.\n",
    ),
    _Letter(
        "sent",
        "Demo",
        "demo@example.org",
        "Re: Поездка в Москву 🚆",
        "Билеты куплены, поезд в 18:05.\n",
    ),
    _Letter(
        "archive",
        "Amélie Poulain",
        "amelie@example.fr",
        "Crème brûlée : la recette",
        "Six jaunes d'œuf, un demi-litre de crème, et de la patience.\n",
    ),
)


@dataclass(frozen=True)
class Message:
    """One message."""

    number: int
    letter: _Letter

    @property
    def id(self) -> str:
        """The Email id."""
        return f"m{self.number}"

    @property
    def blob_id(self) -> str:
        """The id of the blob that holds the RFC 5322 text."""
        return f"msg-{self.number}"

    @property
    def mailbox_id(self) -> str:
        """The id of the mailbox it lies in."""
        return f"mb-{self.letter.role}"

    @property
    def received_at(self) -> datetime:
        """When it arrived."""
        return _FIRST_ARRIVAL + self.number * _BETWEEN_ARRIVALS

    def contains(self, text: str) -> bool:
        """Whether sender, subject or text contain a text, whatever its case."""
        letter = self.letter
        return text.casefold() in f"{letter.name} {letter.address} {letter.subject} {letter.text}".casefold()

    def email(self) -> dict[str, Any]:
        """The Email object (RFC 8621 §4.1)."""
        letter, stamp = self.letter, self.received_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        part = {
            "partId": "1",
            "blobId": self.blob_id,
            "size": len(letter.text.encode()),
            "type": "text/plain",
        }
        return {
            "id": self.id,
            "blobId": self.blob_id,
            "threadId": f"t{self.number}",
            "mailboxIds": {self.mailbox_id: True},
            "keywords": {} if self.is_unread else {"$seen": True},
            "size": len(self.rfc5322()),
            "receivedAt": stamp,
            "sentAt": stamp,
            "messageId": [f"sandbox-{self.number}@example.org"],
            "inReplyTo": None,
            "references": None,
            "sender": None,
            "from": [{"name": letter.name, "email": letter.address}],
            "to": [{"name": "Demo", "email": "demo@example.org"}],
            "cc": None,
            "bcc": None,
            "replyTo": None,
            "subject": letter.subject,
            "hasAttachment": False,
            "preview": letter.text[:_PREVIEW].replace("\n", " ").strip(),
            "bodyValues": {"1": {"value": letter.text, "isEncodingProblem": False, "isTruncated": False}},
            "bodyStructure": part,
            "textBody": [part],
            "htmlBody": [part],
            "attachments": [],
        }

    @property
    def is_unread(self) -> bool:
        """Whether it has not been read: every third message."""
        return self.number % 3 == 0

    def rfc5322(self) -> bytes:
        """The message as it would go over the wire."""
        message, letter = EmailMessage(), self.letter
        user, _, domain = letter.address.partition("@")
        message["From"] = Address(letter.name, user, domain)
        message["To"] = Address("Demo", "demo", "example.org")
        message["Subject"] = letter.subject
        message["Date"] = self.received_at
        message["Message-ID"] = f"<sandbox-{self.number}@example.org>"
        message.set_content(letter.text)
        return message.as_bytes()


@functools.lru_cache(maxsize=8)
def messages(count: int) -> tuple[Message, ...]:
    """The first messages, oldest first; the letters repeat as often as needed."""
    return tuple(Message(number, _LETTERS[number % len(_LETTERS)]) for number in range(count))


def mailboxes(count: int) -> list[dict[str, Any]]:
    """The Mailbox objects (RFC 8621 §2), counting the first messages."""
    return [_mailbox(role, order, count) for order, role in enumerate(_ROLES)]


def _mailbox(role: str, order: int, count: int) -> dict[str, Any]:
    inside = [message for message in messages(count) if message.letter.role == role]
    unread = sum(message.is_unread for message in inside)
    return {
        "id": f"mb-{role}",
        "name": _ROLES[role],
        "parentId": None,
        "role": role,
        "sortOrder": order,
        "totalEmails": len(inside),
        "unreadEmails": unread,
        "totalThreads": len(inside),
        "unreadThreads": unread,
        "myRights": _RIGHTS,
        "isSubscribed": True,
    }

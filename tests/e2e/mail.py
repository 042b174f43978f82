"""The mail that the server holds."""

from __future__ import annotations

from email.message import EmailMessage

MAILBOXES = ["Archive", "Drafts", "Inbox", "Sent", "Trash"]
SUBJECTS = [f"Message {number}" + (": Grüße ☃" if number % 3 == 0 else "") for number in range(1, 21)]


def messages() -> list[bytes]:
    """One message for each subject, as they go over the wire."""
    return [_message(number, subject) for number, subject in enumerate(SUBJECTS, 1)]


def _message(number: int, subject: str) -> bytes:
    message = EmailMessage()
    message["From"] = f"Sender {number} <sender{number}@example.org>"
    message["To"] = "alice@example.org"
    message["Subject"] = subject
    message["Message-ID"] = f"<{number}@e2e.example.org>"
    message.set_content(f"This is body number {number}.\n" + "lorem ipsum dolor sit amet\n" * 40)
    if number % 4 == 0:
        message.add_alternative(f"<p>This is <b>body number {number}</b></p>", subtype="html")
    if number % 5 == 0:
        attached = bytes(range(256)) * 40
        message.add_attachment(attached, maintype="application", subtype="octet-stream", filename="bytes.bin")
    return message.as_bytes(policy=message.policy.clone(linesep="\r\n"))

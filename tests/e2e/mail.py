"""The mail that the server holds."""

from __future__ import annotations

from email.message import EmailMessage

MAILBOXES = ["Archive", "Drafts", "Inbox", "Sent", "Trash"]
SUBJECTS = [f"Message {number}" + (": Grüße ☃" if number % 3 == 0 else "") for number in range(1, 21)]


def messages() -> list[bytes]:
    """One message for each subject, as they go over the wire."""
    return [message(number, subject) for number, subject in enumerate(SUBJECTS, 1)]


def message(number: int, subject: str) -> bytes:
    """One message; the number makes it unlike the others (measured: Cyrus refuses the eleventh that is the same)."""
    made = EmailMessage()
    made["From"] = f"Sender {number} <sender{number}@example.org>"
    made["To"] = "alice@example.org"
    made["Subject"] = subject
    made["Message-ID"] = f"<{number}@e2e.example.org>"
    made.set_content(f"This is body number {number}.\n" + "lorem ipsum dolor sit amet\n" * 40)
    if number % 4 == 0:
        made.add_alternative(f"<p>This is <b>body number {number}</b></p>", subtype="html")
    if number % 5 == 0:
        attached = bytes(range(256)) * 40
        made.add_attachment(attached, maintype="application", subtype="octet-stream", filename="bytes.bin")
    return made.as_bytes(policy=made.policy.clone(linesep="\r\n"))

from __future__ import annotations

from email import message_from_bytes, policy

from jmap_proxy.sandbox.messages import mailboxes, messages


def test_a_message_survives_rfc5322() -> None:
    """Sender, subject and text come back whole from the wire form, whatever their script."""
    for message in messages(6):
        email = message.email()
        wire = message_from_bytes(message.rfc5322(), policy=policy.default)
        body = wire.get_body()
        assert body is not None
        assert wire["Subject"] == email["subject"]
        assert email["from"][0]["name"] in str(wire["From"])
        assert body.get_content() == email["bodyValues"]["1"]["value"]
        assert email["size"] == len(message.rfc5322())


def test_mailboxes_count_what_lies_in_them() -> None:
    """Totals add up to the number of messages, and so do the unread ones."""
    boxes = mailboxes(20)
    assert sum(box["totalEmails"] for box in boxes) == 20
    assert sum(box["unreadEmails"] for box in boxes) == sum(message.is_unread for message in messages(20))
    assert boxes[0]["role"] == "inbox"

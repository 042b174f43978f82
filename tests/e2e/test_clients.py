"""Unmodified clients do their work through the proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.mail import MAILBOXES, SUBJECTS
from tests.e2e.mail_client import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.mail_client import MailClient


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_reads_mail(name: str, mail_client: Callable[[str], MailClient]) -> None:
    """It lists the mailboxes, queries, fetches, and gets back the very bytes that it uploaded."""
    outcome = mail_client(name).start().outcome()
    assert outcome.failures == []
    assert outcome.operations == 5
    assert outcome.seen["mailboxes"] == MAILBOXES
    assert len(outcome.seen["ids"]) == len(SUBJECTS)
    assert outcome.seen["subjects"]
    assert set(outcome.seen["subjects"]) <= set(SUBJECTS)
    assert outcome.seen["blob_bytes"] == 300_000

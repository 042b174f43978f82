"""Unmodified clients do their work through the proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.mail_client import CLIENTS, MailClient

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.certificate import Certificate
    from tests.e2e.place import Place


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_reads_mail(name: str, place: Place, certificate: Certificate, folder: Path) -> None:
    """It lists the mailboxes, queries, fetches, and gets back the very bytes that it uploaded."""
    client = MailClient(name, proxy=place.proxy, certificate=certificate, folder=folder)
    outcome = client.start().outcome()
    assert outcome.failures == []
    assert outcome.operations == 5
    assert outcome.seen["mailboxes"] == place.mailboxes
    assert len(outcome.seen["ids"]) == len(place.subjects)
    assert outcome.seen["subjects"]
    assert set(outcome.seen["subjects"]) <= set(place.subjects)
    assert outcome.seen["blob_bytes"] == 300_000

from __future__ import annotations

from typing import Any

import pytest

from jmap_proxy.sandbox.jmap_methods import Mail, MethodError, email_get, email_query, mailbox_get

MAIL = Mail("u-demo", 12)


def arguments(**more: Any) -> dict[str, Any]:
    """The arguments for the one account."""
    return {"accountId": "u-demo", **more}


def ids(**more: Any) -> list[str]:
    """The ids that a query finds."""
    found: list[str] = email_query(arguments(**more), MAIL)["ids"]
    return found


def test_mailboxes_come_all_or_as_asked() -> None:
    """No ids means all; unknown ids are named as not found; ids twice count once."""
    assert len(mailbox_get(arguments(ids=None), MAIL)["list"]) == 5
    answer = mailbox_get(arguments(ids=["mb-inbox", "no", "mb-inbox"], properties=["name"]), MAIL)
    assert answer["list"] == [{"id": "mb-inbox", "name": "Inbox"}]
    assert answer["notFound"] == ["no"]


def test_emails_come_with_the_properties_asked_for() -> None:
    """Body values come only if they are fetched."""
    email = email_get(arguments(ids=["m0"]), MAIL)["list"][0]
    assert email["subject"] == "Grüße aus Zürich"
    assert email["bodyValues"] == {}
    fetched = email_get(arguments(ids=["m0"], fetchTextBodyValues=True, properties=["bodyValues"]), MAIL)
    assert "Donnerstag" in fetched["list"][0]["bodyValues"]["1"]["value"]


def test_a_query_sorts_filters_and_counts() -> None:
    """Newest first unless asked otherwise; filters by mailbox and by text in any case; total on request."""
    assert ids()[0] == "m11"
    assert ids(sort=[{"property": "receivedAt"}])[0] == "m0"
    assert ids(sort=[{"property": "receivedAt", "isAscending": False}])[0] == "m11"
    assert ids(filter={"text": "GRÜSSE"}) == ["m6", "m0"]
    assert ids(filter={"inMailbox": "mb-sent"}) == ["m10", "m4"]
    assert email_query(arguments(limit=1, calculateTotal=True), MAIL)["total"] == 12


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({"limit": 2}, ["m11", "m10"]),
        ({"position": 10, "limit": None}, ["m1", "m0"]),
        ({"position": -1}, ["m0"]),
        ({"position": -99, "limit": 1}, ["m11"]),
        ({"position": 99}, []),
        ({"limit": 0}, []),
    ],
)
def test_a_query_has_a_window(window: dict[str, Any], expected: list[str]) -> None:
    """Position counts from the start, or from the end if negative."""
    assert ids(**window) == expected


@pytest.mark.parametrize(
    ("method", "more", "kind"),
    [
        (mailbox_get, {"accountId": None}, "invalidArguments"),
        (mailbox_get, {"accountId": "other"}, "accountNotFound"),
        (mailbox_get, {"ids": "mb-inbox"}, "invalidArguments"),
        (mailbox_get, {"ids": [1]}, "invalidArguments"),
        (mailbox_get, {"properties": ["colour"]}, "invalidArguments"),
        (mailbox_get, {"properties": "name"}, "invalidArguments"),
        (mailbox_get, {"properties": [[]]}, "invalidArguments"),
        (email_get, {"ids": ["m0"] * 501}, "requestTooLarge"),
        (email_query, {"filter": {"operator": "AND"}}, "unsupportedFilter"),
        (email_query, {"filter": []}, "unsupportedFilter"),
        (email_query, {"sort": [{"property": "size"}]}, "unsupportedSort"),
        (email_query, {"sort": ["receivedAt"]}, "unsupportedSort"),
        (email_query, {"sort": "receivedAt"}, "unsupportedSort"),
        (email_query, {"position": "1"}, "invalidArguments"),
        (email_query, {"limit": -1}, "invalidArguments"),
        (email_query, {"limit": "1"}, "invalidArguments"),
    ],
)
def test_unsound_arguments_are_refused(method: Any, more: dict[str, Any], kind: str) -> None:
    """Each mistake gets the error type that RFC 8620 gives it."""
    with pytest.raises(MethodError) as caught:
        method(arguments(**more), MAIL)
    assert caught.value.kind == kind

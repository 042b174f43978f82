from typing import Any

import pytest

from jmap_proxy.sandbox.jmap_methods import Mail
from jmap_proxy.sandbox.jmap_request import RequestRefusedError, answered, parsed
from jmap_proxy.sandbox.session_object import CORE
from jmap_proxy.sandbox.session_object import MAIL as MAIL_CAPABILITY

MAIL = Mail("u-demo", 3)


def request(*calls: Any, using: Any = (CORE, MAIL_CAPABILITY), **more: Any) -> dict[str, Any]:
    """Return a Request."""
    return {"using": list(using), "methodCalls": list(calls), **more}


def responses(*calls: Any, using: Any = (CORE, MAIL_CAPABILITY)) -> list[list[Any]]:
    """Return the method responses to calls."""
    found: list[list[Any]] = answered(request(*calls, using=using), MAIL, "st")["methodResponses"]
    return found


def test_a_query_feeds_a_get() -> None:
    """The ids that a query finds can be got in the same request."""
    reference = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
    answer = responses(
        ["Email/query", {"accountId": "u-demo"}, "q"],
        ["Email/get", {"accountId": "u-demo", "#ids": reference, "properties": ["threadId"]}, "g"],
    )
    assert [email["id"] for email in answer[1][1]["list"]] == ["m2", "m1", "m0"]


def test_one_failing_call_leaves_the_others() -> None:
    """An unknown method, a bad reference or bad arguments fail alone, under their own call ids."""
    answer = responses(
        ["Core/nothing", {}, "a"],
        ["Email/get", {"#ids": {"resultOf": "x"}}, "b"],
        ["Email/get", {}, "c"],
        ["Core/echo", {"x": 1}, "d"],
    )
    assert [(name, result.get("type"), call_id) for name, result, call_id in answer] == [
        ("error", "unknownMethod", "a"),
        ("error", "invalidResultReference", "b"),
        ("error", "invalidArguments", "c"),
        ("Core/echo", None, "d"),
    ]


def test_a_method_needs_its_capability() -> None:
    """A mail method is unknown to a request that uses the core alone."""
    assert responses(["Mailbox/get", {}, "a"], using=[CORE])[0][1]["type"] == "unknownMethod"


def test_created_ids_come_back() -> None:
    """A request that brings createdIds gets them back (RFC 8620 §3.4)."""
    assert answered(request(createdIds={"k": "m1"}), MAIL, "st") == {
        "methodResponses": [],
        "sessionState": "st",
        "createdIds": {"k": "m1"},
    }


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ([], "notRequest"),
        ({}, "notRequest"),
        ({"using": [1], "methodCalls": []}, "notRequest"),
        ({"using": [], "methodCalls": {}}, "notRequest"),
        ({"using": [], "methodCalls": [["Core/echo", {}]]}, "notRequest"),
        ({"using": [], "methodCalls": ["abc"]}, "notRequest"),
        ({"using": [], "methodCalls": [["Core/echo", [], "c"]]}, "notRequest"),
        ({"using": ["urn:other"], "methodCalls": []}, "unknownCapability"),
        ({"using": [CORE], "methodCalls": [["Core/echo", {}, "c"]] * 17}, "limit"),
    ],
)
def test_an_unsound_request_is_refused_whole(body: Any, kind: str) -> None:
    """Each mistake gets the problem type that RFC 8620 §3.6.1 gives it."""
    with pytest.raises(RequestRefusedError) as caught:
        answered(body, MAIL, "st")
    assert caught.value.problem["type"] == f"urn:ietf:params:jmap:error:{kind}"


@pytest.mark.parametrize("text", ["{", b"\xff\xfe\xfa", ""])
def test_what_is_no_json_is_refused(text: bytes | str) -> None:
    """Broken JSON and broken UTF-8 are notJSON."""
    with pytest.raises(RequestRefusedError, match="notJSON"):
        parsed(text)

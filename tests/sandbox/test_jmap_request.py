from __future__ import annotations

from typing import Any

import pytest

from jmap_proxy.sandbox.jmap_methods import Mail
from jmap_proxy.sandbox.jmap_request import ReferenceUnresolvedError, RequestRefusedError, answered, parsed, resolved
from jmap_proxy.sandbox.session_object import CORE
from jmap_proxy.sandbox.session_object import MAIL as MAIL_CAPABILITY

MAIL = Mail("u-demo", 3)


def request(*calls: Any, using: Any = (CORE, MAIL_CAPABILITY), **more: Any) -> dict[str, Any]:
    """A Request."""
    return {"using": list(using), "methodCalls": list(calls), **more}


def responses(*calls: Any, using: Any = (CORE, MAIL_CAPABILITY)) -> list[list[Any]]:
    """The method responses to calls."""
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


EARLIER: list[list[Any]] = [
    ["error", {}, "a"],
    ["T/get", {"list": [{"e": ["1", "2"]}, {"e": ["3"]}], "x/y~z": 5}, "a"],
]


def looked_up(path: str) -> Any:
    """What a path into the earlier result gives."""
    reference = {"resultOf": "a", "name": "T/get", "path": path}
    return resolved({"#ids": reference, "plain": 0}, EARLIER)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/list/*/e", ["1", "2", "3"]),
        ("/list/0/e", ["1", "2"]),
        ("/list/1/e/0", "3"),
        ("/x~1y~0z", 5),
        ("/list/*/e/0", ["1", "3"]),
    ],
)
def test_a_pointer_is_followed(path: str, value: Any) -> None:
    """Members, indices, escapes and the flattening star work as in RFC 8620 §3.7."""
    assert looked_up(path) == {"ids": value, "plain": 0}


@pytest.mark.parametrize("path", ["/nothing", "/list/9", "/list/x", "/x~1y~0z/*"])
def test_a_pointer_to_nothing_is_an_error(path: str) -> None:
    """What is not there is not made up."""
    with pytest.raises(ReferenceUnresolvedError):
        looked_up(path)


@pytest.mark.parametrize("reference", ["a", {"resultOf": "b", "name": "T/get", "path": "/list"}])
def test_a_reference_to_no_call_is_an_error(reference: Any) -> None:
    """The call must be an earlier one, under the same name."""
    with pytest.raises(ReferenceUnresolvedError):
        resolved({"#ids": reference}, EARLIER)

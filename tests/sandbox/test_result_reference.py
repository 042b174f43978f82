from typing import Any

import pytest

from jmap_proxy.sandbox.result_reference import ReferenceUnresolvedError, resolved

EARLIER: list[list[Any]] = [
    ["error", {}, "a"],
    ["T/get", {"list": [{"e": ["1", "2"]}, {"e": ["3"]}], "x/y~z": 5}, "a"],
]


def looked_up(path: str) -> Any:
    """Return what a path into the earlier result gives."""
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

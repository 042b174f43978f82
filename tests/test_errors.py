from collections.abc import Iterator

import pytest

from jmap_proxy import errors
from jmap_proxy.errors import (
    BodyTooLarge,
    ConfigError,
    JmapProxyError,
    KeyRefused,
    MethodRefused,
    SignInNeeded,
    StoreError,
    TokenDelayed,
    WorkerError,
)


def descendants(kind: type[JmapProxyError]) -> Iterator[type[JmapProxyError]]:
    """Yield the class and all that are derived from it."""
    yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


ALL = [kind for kind in descendants(JmapProxyError) if kind.__module__ == errors.__name__]
MADE = [
    ConfigError("config.toml: wrong", hint="mend it"),
    WorkerError("a worker has ended"),
    SignInNeeded("alice", "gone"),
    MethodRefused("PUT", frozenset({"GET", "POST"})),
    BodyTooLarge(10),
]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_its_place(kind: type[JmapProxyError]) -> None:
    """Each error stands in the drawn tree, with a title, a status of the 4xx or 5xx and an exit code."""
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__
    assert kind.title
    assert 400 <= kind.status < 600
    assert 0 < kind.exit_code < 126


def test_codes_are_unique() -> None:
    """A code names one error; an abstract error without a code of its own is never raised."""
    own = [kind.code for kind in ALL if "code" in vars(kind)]
    assert len(own) == len(set(own))


def test_the_problem_is_rfc_9457s() -> None:
    """Type, title, status and detail, with the hint where there is one."""
    assert ConfigError("wrong", hint="mend it").problem() == {
        "type": "urn:jmap-proxy:error:config",
        "title": "The configuration is wrong",
        "status": 500,
        "detail": "wrong",
        "hint": "mend it",
    }
    assert "hint" not in ConfigError("wrong").problem()


@pytest.mark.parametrize(("seconds", "field"), [(0.0, "1"), (0.2, "1"), (1.2, "2"), (60.0, "60")])
def test_retry_after_is_whole_seconds(seconds: float, field: str) -> None:
    """The field rounds up and is at least one second."""
    assert TokenDelayed("later", retry_after=seconds).headers() == {"Retry-After": field}


def test_what_does_not_mend_itself_has_no_retry_after() -> None:
    """A sign-in that is gone names the command instead."""
    error = SignInNeeded("alice", "gone")
    assert (error.status, error.headers(), error.hint) == (503, {}, "run: jmap-proxy login alice")
    assert str(error) == "account 'alice': gone"


def test_only_a_wrong_local_key_is_a_401() -> None:
    """The challenge offers Basic first; no other error has this status."""
    assert [kind for kind in ALL if kind.status == 401] == [KeyRefused]
    assert KeyRefused("no key").headers()["WWW-Authenticate"].startswith("Basic realm=")


def test_a_refused_method_tells_the_allowed_ones() -> None:
    """Allow goes with a 405."""
    error = MethodRefused("PUT", frozenset({"POST", "GET"}))
    assert error.headers() == {"Allow": "GET, POST"}
    assert error.hint == "use GET or POST"


def test_a_body_too_large_is_told_in_jmaps_words() -> None:
    """The problem is the one that the server itself would give (RFC 8620 §3.6.1)."""
    problem = BodyTooLarge(10).problem()
    assert (problem["type"], problem["limit"]) == ("urn:ietf:params:jmap:error:limit", "maxSizeRequest")
    assert problem["status"] == 413


@pytest.mark.parametrize("error", [*MADE, StoreError("x", retry_after=2)], ids=lambda error: type(error).__name__)
def test_an_error_anew_is_the_same_but_another_object(error: JmapProxyError) -> None:
    """The copy tells the same, and has no traceback of the first one."""
    with pytest.raises(type(error)) as caught:
        raise error
    twin = caught.value.anew()
    assert twin is not error
    assert (type(twin), str(twin), twin.problem(), twin.headers()) == (
        (type(error), str(error), error.problem(), error.headers())
    )
    assert twin.__traceback__ is None

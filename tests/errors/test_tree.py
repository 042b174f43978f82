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
    WorkerError,
)


def descendants(kind: type[JmapProxyError]) -> Iterator[type[JmapProxyError]]:
    """Yield the class and all that are derived from it."""
    yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


ALL = [kind for kind in descendants(JmapProxyError) if kind.__module__.startswith(f"{errors.__name__}.")]
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


def test_only_a_wrong_local_key_is_a_401() -> None:
    """No other error has this status."""
    assert [kind for kind in ALL if kind.status == 401] == [KeyRefused]

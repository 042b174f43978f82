import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.origins import Origin
from jmap_proxy.proxy.session.endpoint import METHODS, Endpoint, Kind

ORIGIN = Origin("https", "a", 443)


@given(st.text("ab/{}", max_size=12), st.text("ab/", max_size=12))
def test_matching_is_what_a_regular_expression_would_say(template: str, path: str) -> None:
    """Literals stand where they are, in order, and variables take anything."""
    literals = re.split(r"\{[^{}]*\}", template or "/")
    expected = re.fullmatch(".*".join(map(re.escape, literals)), path, re.DOTALL) is not None
    assert Endpoint.of(Kind.API, ORIGIN, template).matches(path) is expected


def test_a_template_of_many_variables_takes_no_time() -> None:
    """A path that does not match is refused at once, whatever the server's template."""
    endpoint = Endpoint.of(Kind.DOWNLOAD, ORIGIN, "/" + "{a}a" * 50 + "!")
    assert not endpoint.matches("/" + "a" * 30_000)


def test_literals_between_variables_count() -> None:
    """Start and end alone do not make a match."""
    endpoint = Endpoint.of(Kind.DOWNLOAD, ORIGIN, "/dl/{a}/blob/{b}")
    assert endpoint.matches("/dl/x/blob/y")
    assert not endpoint.matches("/dl/x/other/y")
    assert not endpoint.matches("/dl/")


@pytest.mark.parametrize(("template", "path"), [("", "/"), ("?x={y}", "/"), ("/a?x={y}", "/a")])
def test_the_query_does_not_count(template: str, path: str) -> None:
    """Clients build their own queries; an empty path is the root."""
    assert Endpoint.of(Kind.EVENTS, ORIGIN, template).matches(path)


def test_every_kind_has_methods() -> None:
    """And the endpoint knows those of its kind."""
    for kind in Kind:
        assert Endpoint.of(kind, ORIGIN, "/").methods == METHODS[kind]


def test_what_is_revoked_is_named_by_a_segment() -> None:
    """Behind the endpoint, whether that ends in a slash or not; the endpoint alone revokes nothing."""
    for template in ("/ws/ticket", "/ws/ticket/"):
        endpoint = Endpoint.of(Kind.REVOCATION, ORIGIN, template)
        assert endpoint.matches("/ws/ticket/0b9f-1")
        assert not endpoint.matches("/ws/ticket")
        assert not endpoint.matches("/ws/tickets/0b9f")

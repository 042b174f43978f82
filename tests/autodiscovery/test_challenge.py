from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.autodiscovery.challenge import Challenge, bearer, parse_challenges

TOKENS = st.text("abcXYZ019-_.~", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ([], ()),
        (["Bearer"], (Challenge("bearer"),)),
        (
            ['Bearer realm="Stalwart Server", resource_metadata="/.well-known/x"', 'Basic realm="Stalwart Server"'],
            (
                Challenge("bearer", {"realm": "Stalwart Server", "resource_metadata": "/.well-known/x"}),
                Challenge("basic", {"realm": "Stalwart Server"}),
            ),
        ),
        (
            ['Basic realm="a, b", Bearer error=invalid_token , scope = "openid email",Negotiate'],
            (
                Challenge("basic", {"realm": "a, b"}),
                Challenge("bearer", {"error": "invalid_token", "scope": "openid email"}),
                Challenge("negotiate"),
            ),
        ),
        (['Bearer REALM="say \\"x\\""'], (Challenge("bearer", {"realm": 'say "x"'}),)),
        (["Negotiate YWJj==, Bearer a=b"], (Challenge("negotiate"), Challenge("bearer", {"a": "b"}))),
        (["Bearer a=b, a=c"], (Challenge("bearer", {"a": "b"}),)),
        ([", ,Bearer ,, a=b,"], (Challenge("bearer", {"a": "b"}),)),
        (['Bearer realm="never closed, a=b'], (Challenge("bearer"),)),
        (["a=b, ???, Bearer"], (Challenge("bearer"),)),
    ],
)
def test_challenges_are_read(fields: list[str], told: tuple[Challenge, ...]) -> None:
    """Several in a field and in several fields, quoted commas, odd spacing; what is odd is passed over."""
    assert parse_challenges(fields) == told


@given(st.lists(st.tuples(TOKENS, st.dictionaries(TOKENS.map(str.lower), VALUES, max_size=4)), max_size=4))
def test_what_is_written_is_read(challenges: list[tuple[str, dict[str, str]]]) -> None:
    """Whatever stands in quoted strings."""

    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    field = ", ".join(
        scheme
        + (" " if parameters else "")
        + ", ".join(f"{name}={quoted(value)}" for name, value in parameters.items())
        for scheme, parameters in challenges
    )
    told = tuple(Challenge(scheme.lower(), parameters) for scheme, parameters in challenges)
    assert parse_challenges([field]) == told


@given(st.lists(st.text(max_size=60), max_size=3))
def test_nothing_breaks_it(fields: list[str]) -> None:
    """Whatever a server sends, the result is challenges with names in lower case."""
    assert all(challenge.scheme == challenge.scheme.lower() for challenge in parse_challenges(fields))


@pytest.mark.parametrize("piece", ['"\\', '\\"', '"', "a=", "=", ", ", 'a="', "a ", '"a'])
def test_a_long_field_takes_no_long_time(piece: str) -> None:
    """Reading is linear: the test's time limit would end it otherwise."""
    for field in (piece * 100_000, f"Bearer {piece * 100_000}", f'Bearer a="{piece * 100_000}'):
        assert len(parse_challenges([field] * 20)) <= 20 * 8192


def test_the_bearer_challenge_that_says_most_is_taken() -> None:
    """The order of challenges means nothing."""
    plain, named = Challenge("bearer"), Challenge("bearer", {"resource_metadata": "/x"})
    assert bearer([Challenge("basic"), plain, named]) is named
    assert bearer([Challenge("basic"), plain]) is plain
    assert bearer([Challenge("basic")]) is None

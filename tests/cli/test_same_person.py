from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.cli.same_person import check_known, check_same_person
from jmap_proxy.errors import SignInError, WrongPerson
from tests.tokens.builders import token_set

SUBJECTS = st.sampled_from(["", "u1", "u2"])
NAMES = st.sampled_from(["", "ann", "bob"])
ISSUERS = st.sampled_from(["https://sso.example.com", "https://other.example.com"])


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"subject": "u1"}, {"subject": "u1"}),
        ({"subject": "u1", "username": "ann"}, {"subject": "u1", "username": "ann.married"}),
        ({"username": "ann"}, {"username": "ann"}),
        ({"subject": "u1", "username": "ann"}, {"username": "ann"}),
        ({"subject": "u1", "username": "ann"}, {"subject": "x", "username": "ann", "issuer": "https://new.example"}),
    ],
)
def test_the_same_person(before: dict[str, Any], now: dict[str, Any]) -> None:
    """By the subject; by the user name where a subject is missing or is another provider's."""
    check_same_person(token_set(**before), token_set(**now))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"subject": "u1"}, {"subject": "u2"}),
        ({"subject": "u1", "username": "ann"}, {"subject": "u2", "username": "ann"}),
        ({"username": "ann"}, {"username": "bob"}),
        ({"username": "ann"}, {"username": "Ann"}),
        ({"username": "ann"}, {}),
        ({"subject": "u1"}, {"username": "ann"}),
        ({"subject": "u1"}, {"subject": "u1", "issuer": "https://new.example"}),
        ({"subject": "u1", "username": "ann"}, {"username": "bob"}),
    ],
)
def test_another_person(before: dict[str, Any], now: dict[str, Any]) -> None:
    """The subject decides, also against the name; what cannot be compared is not the same."""
    with pytest.raises(WrongPerson) as caught:
        check_same_person(token_set(**before), token_set(**now))
    assert "jmap-proxy login alice" in caught.value.hint


def test_nobody_to_compare_with() -> None:
    """Before the first sign-in, and after one of which nothing is known, only the user at a terminal can say."""
    for before in (None, token_set()):
        with pytest.raises(SignInError) as caught:
            check_same_person(before, token_set(subject="u1", username="ann"))
        assert caught.value.hint == "run: jmap-proxy login alice"
    with pytest.raises(SignInError, match="not signed in") as caught:
        check_known("it's me", None)
    assert caught.value.hint == """run: jmap-proxy login 'it'"'"'s me'"""


def test_a_client_of_its_own_is_no_person() -> None:
    """With client credentials nobody signs in; the configuration says who it is."""
    check_same_person(None, token_set(grant_type="client_credentials"))


@pytest.mark.parametrize("name", ["\x1b[2Jbob", "b\u202eob"])
def test_the_servers_words_are_words(name: str) -> None:
    """They do nothing to a terminal or a page."""
    with pytest.raises(WrongPerson) as caught:
        check_same_person(token_set(username="ann"), token_set(username=name))
    assert caught.value.detail.isprintable()


@given(SUBJECTS, NAMES, ISSUERS, SUBJECTS, NAMES, ISSUERS)
def test_nobody_passes_who_has_nothing_in_common(s1: str, n1: str, i1: str, s2: str, n2: str, i2: str) -> None:
    """Whoever passes shares a subject of one provider or a user name, and never contradicts a subject."""
    try:
        check_same_person(token_set(subject=s1, username=n1, issuer=i1), token_set(subject=s2, username=n2, issuer=i2))
    except SignInError:
        return
    assert (i1, s1) == (i2, s2) != (i1, "") or n1 == n2 != ""
    assert i1 != i2 or not (s1 and s2) or s1 == s2

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.autodiscovery.scopes import FOR_MAIL, SCOPE, scopes_to_ask

MAIL, CONTACTS, CALENDARS = FOR_MAIL
WORDS = st.lists(st.sampled_from([*FOR_MAIL, "openid", "offline_access", "admin", 'a"b', ""]), max_size=6)


@pytest.mark.parametrize(
    ("challenge", "resource", "provider", "asked"),
    [
        ("", (), (), ()),
        ("", (MAIL, "admin", CONTACTS), ("openid", "offline_access"), (MAIL, CONTACTS, "openid", "offline_access")),
        ("", (), (CALENDARS, MAIL, "openid", "files"), (MAIL, CALENDARS, "openid")),
        ("openid profile email", (MAIL,), ("offline_access",), ("openid", "profile", "email", "offline_access")),
        ("", (MAIL, "offline_access"), (), (MAIL, "offline_access")),
        ("", (), ("openid", "offline_access"), ("openid", "offline_access")),
        ("", ("files",), ("files",), ()),
    ],
)
def test_what_is_asked_for(
    challenge: str, resource: tuple[str, ...], provider: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    """What the challenge wants, else what mail needs of what is offered; to stay signed in only where offered."""
    assert scopes_to_ask(challenge, resource, provider) == asked


@given(st.text(max_size=30), WORDS, WORDS)
def test_nothing_is_asked_for_that_nobody_offers(challenge: str, resource: list[str], provider: list[str]) -> None:
    """Each once, each one word, each wanted or offered; no more rights than mail needs."""
    asked = scopes_to_ask(challenge, resource, provider)
    assert len(set(asked)) == len(asked)
    assert all(SCOPE.fullmatch(scope) for scope in asked)
    assert set(asked) <= {*challenge.split(), *resource, *provider}
    assert "admin" not in asked or "admin" in challenge.split()

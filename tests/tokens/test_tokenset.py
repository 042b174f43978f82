import io

import pytest
from rich.console import Console

from jmap_proxy.tokens import TokenSet
from jmap_proxy.tokens.outcome import Refreshed
from jmap_proxy.tokens.registration import Registration
from tests.tokens.builders import NOW, refreshed, token_set


def test_the_next_generation_keeps_who_it_is() -> None:
    """Account, issuer, client, subject and sign-in stay; times are absolute and new."""
    old = token_set(4, subject="ann", scope="mail")
    new = old.renewed(refreshed(5, life=10), obtained_at=NOW + 100)
    assert (new.generation, new.obtained_at, new.expires_at) == (5, NOW + 100, NOW + 110)
    assert (new.account, new.issuer, new.client_id, new.subject, new.sign_in_id) == (
        (old.account, old.issuer, old.client_id, "ann", old.sign_in_id)
    )
    assert (new.access_token, new.refresh_token, new.scope) == ("access-5", "refresh-1", "mail")


def test_a_rotated_refresh_token_and_a_new_scope_replace_the_old() -> None:
    """What the answer tells counts."""
    answer = Refreshed(access_token="a", refresh_token="r", life=1, scope="mail calendar")
    new = token_set(scope="mail").renewed(answer, obtained_at=NOW)
    assert (new.refresh_token, new.scope) == ("r", "mail calendar")


def test_a_new_client_goes_on_with_the_tokens() -> None:
    """Where the provider had forgotten the one before; without, the client stays who it was."""
    old, new = (Registration(issuer="https://sso.example", client_id=name, registered_at=NOW) for name in "ab")
    tokens = token_set(client_id="a", registration=old)
    assert tokens.renewed(refreshed(2), obtained_at=NOW).registration == old
    heir = tokens.renewed(Refreshed(access_token="x", refresh_token="y", life=1, registration=new), obtained_at=NOW)
    assert (heir.client_id, heir.registration) == ("b", new)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (None, True),
        (token_set(1), True),
        (token_set(2), False),
        (token_set(3), False),
        (token_set(3, sign_in_id="second"), True),
    ],
)
def test_what_supersedes_what(other: TokenSet | None, *, expected: bool) -> None:
    """A later generation does, and any generation of another sign-in."""
    assert token_set(2).supersedes(other) is expected


def test_no_repr_shows_a_token() -> None:
    """Neither repr, str nor rich's own pretty printer."""
    console = Console(file=io.StringIO(), width=200)
    console.print(token_set(), [token_set()])
    assert isinstance(console.file, io.StringIO)
    shown = f"{token_set()!r} {token_set()} {console.file.getvalue()}"
    assert "generation=1" in shown
    assert not [secret for secret in ("access-1", "refresh-1") if secret in shown]

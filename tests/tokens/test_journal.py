import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.tokens.journal import GRACE, Attempt, Replay, may_ask, may_replay, read_attempt
from jmap_proxy.tokens.window import Freshness
from tests.tokens.builders import NOW, token_set

ALIVE = [Freshness.FRESH, Freshness.AGEING, Freshness.EXPIRING]


def test_an_attempt_holds_no_secret() -> None:
    """What is written down tells the refresh token neither in the clear nor by an encoding of it."""
    told = repr(Attempt.of(token_set(), NOW)) + msgspec.json.encode(Attempt.of(token_set(), NOW)).decode()
    assert not [secret for secret in ("refresh-1", "access-1", "cmVmcmVzaC0x") if secret in told]


@pytest.mark.parametrize(
    ("changes", "concerned"),
    [
        ({}, True),
        ({"generation": 2, "access_token": "other"}, True),
        ({"refresh_token": "refresh-2"}, False),
        ({"sign_in_id": "second"}, False),
    ],
)
def test_an_attempt_concerns_the_refresh_token_that_was_sent(changes: dict[str, object], *, concerned: bool) -> None:
    """Also where it has come to stand in another generation, which a provider that does not rotate gives."""
    assert Attempt.of(token_set(), NOW).concerns(msgspec.structs.replace(token_set(), **changes)) is concerned


@pytest.mark.parametrize("freshness", Freshness)
@pytest.mark.parametrize("replay", ["strict", "grace"])
def test_without_a_lost_answer_nothing_speaks_against_asking(replay: Replay, freshness: Freshness) -> None:
    """No attempt, one of other tokens, and a provider that keeps its refresh tokens."""
    foreign = Attempt.of(token_set(refresh_token="other"), NOW)
    for attempt, tokens in (
        (None, token_set()),
        (foreign, token_set()),
        (Attempt.of(token_set(), NOW), token_set(rotation="no")),
    ):
        assert may_ask(attempt, tokens, replay, freshness, NOW + 1e6, refused=False)


@pytest.mark.parametrize("freshness", ALIVE)
@pytest.mark.parametrize("rotation", ["unknown", "yes"])
def test_a_living_token_is_used_up_first(freshness: Freshness, rotation: str) -> None:
    """A strict provider would revoke it together with the refresh token that comes twice."""
    tokens = token_set(rotation=rotation)
    attempt = Attempt.of(tokens, NOW)
    assert not may_ask(attempt, tokens, "strict", freshness, NOW, refused=False)
    assert may_ask(attempt, tokens, "strict", freshness, NOW, refused=True)
    assert may_ask(attempt, tokens, "strict", Freshness.EXPIRED, NOW, refused=False)


@given(after=st.floats(-1e9, 1e9))
def test_the_grace_is_short(after: float) -> None:
    """Asked again at once only from the lost answer to the end of the grace, and never at a strict provider."""
    attempt = Attempt.of(token_set(), NOW)
    asked_again = may_ask(attempt, token_set(), "grace", Freshness.FRESH, NOW + after, refused=False)
    assert asked_again is may_replay(attempt, "grace", NOW + after)
    if not -1 < after < GRACE + 1:
        assert not asked_again
    assert not may_replay(attempt, "strict", NOW + after)


@pytest.mark.parametrize(
    "note",
    [
        {**msgspec.to_builtins(Attempt.of(token_set(), NOW)), "schema_version": 2},
        {**msgspec.to_builtins(Attempt.of(token_set(refresh_token="other"), NOW)), "schema_version": 2, "new": []},
        {"schema_version": 2, "asked_at": "2027-01-15"},
        {"schema_version": 3},
    ],
)
def test_a_note_of_a_newer_program_counts_as_open(note: dict[str, object]) -> None:
    """What it says of the tokens is not known: they may have been spent."""
    attempt = read_attempt(msgspec.json.encode(note))
    assert attempt is not None
    assert attempt.concerns(token_set())
    assert not may_ask(attempt, token_set(), "strict", Freshness.AGEING, NOW, refused=False)
    again = read_attempt(msgspec.json.encode(attempt))
    assert again == attempt


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"{}", b'{"schema_version": 1}', b'{"schema_version": "2"}', b"\xff"]
)
def test_a_note_that_cannot_be_understood_is_none(raw: bytes) -> None:
    """It tells nothing."""
    assert read_attempt(raw) is None


@given(st.binary())
def test_any_bytes_can_be_read(raw: bytes) -> None:
    """Nothing is raised."""
    read_attempt(raw)


def test_a_note_is_read_as_it_was_written() -> None:
    """By another process."""
    attempt = Attempt.of(token_set(), NOW)
    assert read_attempt(msgspec.json.encode(attempt) + b"\n") == attempt


def test_where_there_is_no_refresh_token_none_can_be_spent() -> None:
    """Client credentials are asked for again at once."""
    tokens = token_set(refresh_token="", grant_type="client_credentials")
    assert may_ask(Attempt.of(tokens, NOW), tokens, "strict", Freshness.AGEING, NOW, refused=False)

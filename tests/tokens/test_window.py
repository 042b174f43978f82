import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.tokens.window import TOKEN_EXPIRY_BUFFER, Freshness, Window, share_of
from tests.tokens.builders import HOUR, NOW, token_set

LIVES = st.floats(0, 1e8)
ORDER = [Freshness.FRESH, Freshness.AGEING, Freshness.EXPIRING, Freshness.EXPIRED]


def test_a_token_of_an_hour() -> None:
    """The hard window is the last 60 s, the soft one the 240 s before that, and up to 120 s more."""
    window = Window.of(token_set(life=HOUR), jitter=0.0)
    assert TOKEN_EXPIRY_BUFFER == 60
    assert (window.soft_at, window.hard_at, window.expires_at) == (NOW + 3300, NOW + 3540, NOW + 3600)
    assert Window.of(token_set(life=HOUR), jitter=1.0).soft_at == NOW + 3180


def test_a_token_of_five_seconds() -> None:
    """The windows shrink with the life."""
    window = Window.of(token_set(life=5), jitter=0.0)
    assert (window.soft_at, window.hard_at, window.expires_at) == (NOW + 2, NOW + 2.5, NOW + 5)


def test_without_refresh_token_there_is_no_window() -> None:
    """What cannot be refreshed is fresh until it has expired."""
    window = Window.of(token_set(refresh_token=""))
    assert window.freshness(NOW + HOUR - 0.001) is Freshness.FRESH
    assert window.freshness(NOW + HOUR) is Freshness.EXPIRED


def test_a_token_that_ends_before_it_began_is_expired() -> None:
    """Nonsense in the times does not make a token good."""
    assert Window.of(token_set(life=-10)).freshness(NOW) is Freshness.EXPIRED


@given(life=LIVES)
def test_the_buffer_is_never_more_than_half_the_life(life: float) -> None:
    """Callers never wait before half the life is over, nor earlier than a minute before the end."""
    window = Window.of(token_set(life=life, obtained_at=0.0, expires_at=life))
    assert window.expires_at - window.hard_at <= min(TOKEN_EXPIRY_BUFFER, life / 2) + 1e-6
    assert window.soft_at <= window.hard_at <= window.expires_at
    assert window.soft_at >= 0.35 * life - 1e-6


@given(life=LIVES, times=st.tuples(st.floats(-60, 2e8), st.floats(-60, 2e8)))
def test_freshness_only_goes_down(life: float, times: tuple[float, float]) -> None:
    """As time goes on a token gets older, never younger."""
    window = Window.of(token_set(obtained_at=0.0, expires_at=life))
    earlier, later = (ORDER.index(window.freshness(time)) for time in sorted(times))
    assert earlier <= later


@pytest.mark.parametrize(("now", "freshness"), [(-60.0, Freshness.FRESH), (-61.0, Freshness.EXPIRING)])
def test_a_token_from_the_future_is_renewed(now: float, freshness: Freshness) -> None:
    """More than a minute before it was obtained, the clock must have been set back: its age is unknown."""
    assert Window.of(token_set(obtained_at=0.0, expires_at=3600.0)).freshness(now) is freshness


def test_accounts_of_one_moment_are_not_refreshed_in_one_second() -> None:
    """The soft windows of a thousand accounts that were signed in together are spread over two minutes."""
    starts = [Window.of(token_set(life=HOUR, account=f"a{number}")).soft_at for number in range(1000)]
    assert NOW + 3180 < min(starts) < NOW + 3190
    assert NOW + 3290 < max(starts) <= NOW + 3300
    assert max(len([start for start in starts if second <= start < second + 1]) for second in map(int, starts)) < 30


@given(st.text(max_size=5), st.text(max_size=5), st.integers(0, 2**40))
def test_the_share_is_the_same_each_time_one_looks(account: str, sign_in_id: str, generation: int) -> None:
    """In `status` as in the proxy; the next generation has another one."""
    tokens = token_set(generation, account=account, sign_in_id=sign_in_id)
    assert 0 <= share_of(tokens) < 1
    assert share_of(tokens) == share_of(token_set(generation, account=account, sign_in_id=sign_in_id, life=7))
    assert share_of(tokens) != share_of(token_set(generation + 1, account=account, sign_in_id=sign_in_id))


def test_a_client_that_is_its_own_grant_is_renewed_in_time() -> None:
    """Client credentials (RFC 6749 §4.4) come without a refresh token, and can be renewed all the same."""
    tokens = token_set(refresh_token="", grant_type="client_credentials")
    assert Window.of(tokens).freshness(NOW + HOUR - 59) is Freshness.EXPIRING

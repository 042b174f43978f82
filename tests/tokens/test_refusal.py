import msgspec

from jmap_proxy.tokens.refusal import Refusal
from tests.tokens.builders import NOW, token_set


def test_a_refusal_concerns_one_generation() -> None:
    """That a provider renews it after all, shows in the next one, though the refresh token may be the same."""
    refusal = Refusal.of(token_set(2), "refused", NOW)
    assert refusal.concerns(token_set(2))
    for other in (token_set(3), token_set(2, sign_in_id="second"), token_set(2, refresh_token="other")):
        assert not refusal.concerns(other)


def test_a_refusal_holds_no_secret() -> None:
    """What is written down is the reason, and a name of the refresh token that tells nothing about it."""
    written = msgspec.json.encode(Refusal.of(token_set(), "refused", NOW))
    assert b"refresh-1" not in written
    assert b"access-1" not in written
    assert msgspec.json.decode(written, type=Refusal) == Refusal.of(token_set(), "refused", NOW)

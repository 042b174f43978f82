from jmap_proxy.tokens.outcome import Refreshed, Rejected, Transient


def test_a_good_answer_does_not_show_its_tokens() -> None:
    """The three secrets are no part of the repr."""
    answer = Refreshed(access_token="s3cret-a", refresh_token="s3cret-r", life=5, id_token="s3cret-i")
    assert repr(answer) == "Refreshed(life=5, scope='', provider_time=None)"


def test_outcomes_are_values() -> None:
    """Two outcomes that say the same are equal, and are told apart by their type."""
    assert Rejected("invalid_grant") == Rejected("invalid_grant", 1.0)
    assert Transient("down") == Transient("down", None)

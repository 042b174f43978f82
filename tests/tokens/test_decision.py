from itertools import product

import pytest

from jmap_proxy.tokens.decision import PATIENCE, Step, decide, longest_wait
from jmap_proxy.tokens.window import Freshness

ALL = list(product(Freshness, [False, True], [False, True]))


@pytest.mark.parametrize(("freshness", "renewable", "backing_off"), ALL)
def test_every_case_is_safe(freshness: Freshness, *, renewable: bool, backing_off: bool) -> None:
    """An expired token is never sent and a fresh one always; back-off starts nothing for a living one."""
    step = decide(freshness, renewable=renewable, backing_off=backing_off)
    uses = step in (Step.USE, Step.USE_AND_REFRESH)
    assert uses or freshness in (Freshness.EXPIRING, Freshness.EXPIRED)
    assert not (uses and freshness is Freshness.EXPIRED)
    assert (step is Step.USE) or freshness is not Freshness.FRESH
    if backing_off and renewable:
        assert step is (Step.WAIT if freshness is Freshness.EXPIRED else Step.USE)


@pytest.mark.parametrize(
    ("freshness", "step"),
    [
        (Freshness.FRESH, Step.USE),
        (Freshness.AGEING, Step.USE_AND_REFRESH),
        (Freshness.EXPIRING, Step.WAIT),
        (Freshness.EXPIRED, Step.WAIT),
    ],
)
def test_when_all_is_well(freshness: Freshness, step: Step) -> None:
    """The windows in their order."""
    assert decide(freshness, renewable=True, backing_off=False) is step


def test_a_lost_sign_in_still_looks_into_the_store() -> None:
    """With nothing left to send it is looked whether another process has signed in, back-off or not."""
    assert decide(Freshness.EXPIRED, renewable=False, backing_off=True) is Step.WAIT


@pytest.mark.parametrize("freshness", Freshness)
def test_who_has_something_to_send_does_not_wait_long(freshness: Freshness) -> None:
    """`token` waits half a minute for a provider, but not while the token that it has is good."""
    assert longest_wait(freshness, 30.0) == (30.0 if freshness is Freshness.EXPIRED else PATIENCE)
    assert longest_wait(freshness, 0.5) == 0.5

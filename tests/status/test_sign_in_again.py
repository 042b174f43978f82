from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.errors import SignInError
from jmap_proxy.status.sign_in_again import GIVEN_UP, TOO_LONG, UNFORESEEN, SignInAgain
from tests.support.clock import NOW, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

URL = "https://sso.example.com/authorize?state=hidden"


class Flow:
    """A sign-in flow that does what the test says."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.begun: list[str] = []
        self.under_way = 0
        self.given_up = 0
        self.error: Exception | None = None
        self.error_when_given_up: Exception | None = None

    async def __call__(self, account: str, show: Callable[[str], None]) -> str:
        """Show the URL, and wait for the answer."""
        self.begun.append(account)
        if self.error is not None:
            raise self.error
        self.under_way += 1
        try:
            show(URL)
            return await asyncio.shield(self.answer)
        except asyncio.CancelledError:
            self.given_up += 1
            await asyncio.sleep(0)  # what it undoes takes a moment
            if self.error_when_given_up is not None:
                raise self.error_when_given_up from None
            raise
        finally:
            self.under_way -= 1


@pytest.fixture
async def flow() -> Flow:
    """Give a flow that waits."""
    return Flow()


@pytest.fixture
async def again(flow: Flow, clock: Clock) -> AsyncIterator[SignInAgain]:
    """Give the sign-ins of a page."""
    again = SignInAgain(flow, clock)
    yield again
    await again.close()


async def over(again: SignInAgain, account: str) -> None:
    """Return when the sign-in of that account is over."""
    await asyncio.wait([again._tasks[account]])


async def test_it_tells_where_it_goes_on_and_then_who_signed_in(again: SignInAgain, flow: Flow, clock: Clock) -> None:
    """The page has the URL at once, and the outcome in the end, each with its time."""
    await again.begin("alice")
    assert (again.progress["alice"].url, again.progress["alice"].outcome) == (URL, "")
    assert again.progress["alice"].at == NOW
    clock.now += 30
    flow.answer.set_result("alice@example.com")
    await over(again, "alice")
    assert (again.progress["alice"].url, again.progress["alice"].outcome) == ("", "good")
    assert again.progress["alice"].told == "Signed in anew as alice@example.com."
    assert again.progress["alice"].at == NOW + 30


async def test_a_user_without_a_name(again: SignInAgain, flow: Flow) -> None:
    """The server may tell none."""
    flow.answer.set_result("")
    await again.begin("alice")
    await over(again, "alice")
    assert again.progress["alice"].told == "Signed in anew."


async def test_a_second_one_takes_the_place_of_the_first(again: SignInAgain, flow: Flow) -> None:
    """Whoever has closed the tab can start over; the first one is given up."""
    await again.begin("alice")
    await again.begin("alice")
    assert (flow.begun, flow.given_up) == (["alice", "alice"], 1)
    assert again.progress["alice"].url == URL


async def test_of_many_at_once_one_is_left(again: SignInAgain, flow: Flow) -> None:
    """However often the button is pressed: no sign-in goes on that nobody can end."""
    await again.begin("alice")
    await asyncio.gather(*(again.begin("alice") for _ in range(8)))
    assert flow.under_way == 1
    assert again.progress["alice"].url == URL
    await again.close()
    assert flow.under_way == 0


async def test_accounts_do_not_disturb_each_other(again: SignInAgain, flow: Flow) -> None:
    """Two accounts can be signed in at the same time."""
    await again.begin("alice")
    await again.begin("bob")
    assert flow.given_up == 0
    assert set(again.progress) == {"alice", "bob"}


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SignInError("refused", hint="agree"), "The sign-in did not succeed: refused. Mend: agree."),
        (SignInError("refused"), "The sign-in did not succeed: refused."),
        (ZeroDivisionError("secret"), UNFORESEEN),
    ],
)
async def test_a_failure_is_told(again: SignInAgain, flow: Flow, error: Exception, told: str) -> None:
    """The reason and its mend, and nothing of what was not foreseen."""
    flow.error = error
    await again.begin("alice")
    await over(again, "alice")
    progress = again.progress["alice"]
    assert (progress.told, progress.url, progress.outcome) == (told, "", "bad")


async def test_it_does_not_wait_for_ever(flow: Flow, clock: Clock) -> None:
    """A sign-in that nobody finishes is given up."""
    again = SignInAgain(flow, clock, time_limit=0.0)
    await again.begin("alice")
    await over(again, "alice")
    assert (again.progress["alice"].told, again.progress["alice"].outcome) == (TOO_LONG, "bad")
    await again.close()


async def test_closing_gives_up_what_is_under_way(flow: Flow, clock: Clock) -> None:
    """No task outlives the proxy."""
    again = SignInAgain(flow, clock)
    await again.begin("alice")
    await again.begin("bob")
    again.forget("bob")
    await again.close()
    assert (flow.given_up, flow.under_way) == (2, 0)
    assert (again.progress["alice"].url, again.progress["alice"].told) == ("", GIVEN_UP)


async def test_what_is_over_is_not_given_up(again: SignInAgain, flow: Flow) -> None:
    """A sign-in that has succeeded stays told when the next one begins or the proxy ends."""
    flow.answer.set_result("ann")
    await again.begin("alice")
    await over(again, "alice")
    await again.close()
    assert again.progress["alice"].outcome == "good"


@pytest.mark.parametrize("error", [None, SignInError("undone")])
async def test_an_account_that_has_gone_is_forgotten(again: SignInAgain, flow: Flow, error: Exception | None) -> None:
    """Its sign-in ends, and nothing is told of it any more, also if it ends with words of its own."""
    flow.error_when_given_up = error
    await again.begin("alice")
    again.forget("alice")
    again.forget("never")
    await again.close()
    assert flow.under_way == 0
    assert "alice" not in again.progress


async def test_who_began_it_may_leave(again: SignInAgain, flow: Flow) -> None:
    """A browser that goes away before there is a URL does not end the sign-in: the next look at the page shows it."""
    leaving = asyncio.create_task(again.begin("alice"))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await asyncio.sleep(0)
    assert flow.under_way == 1
    assert again.progress["alice"].url == URL


async def test_the_url_is_not_shown_by_repr(again: SignInAgain) -> None:
    """It holds the state of the sign-in."""
    await again.begin("alice")
    assert "hidden" not in repr(again.progress["alice"])

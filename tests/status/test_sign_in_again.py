from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.errors import SignInError
from jmap_proxy.status.sign_in_again import SignInAgain

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

URL = "https://sso.example.com/authorize?state=hidden"


class Flow:
    """A sign-in flow that does what the test says."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.begun: list[str] = []
        self.given_up = 0
        self.error: Exception | None = None

    async def __call__(self, account: str, show: Callable[[str], None]) -> str:
        """Show the URL, and wait for the answer."""
        self.begun.append(account)
        if self.error is not None:
            raise self.error
        show(URL)
        try:
            return await asyncio.shield(self.answer)
        except asyncio.CancelledError:
            self.given_up += 1
            raise


@pytest.fixture
async def flow() -> Flow:
    """Give a flow that waits."""
    return Flow()


@pytest.fixture
async def again(flow: Flow) -> AsyncIterator[SignInAgain]:
    """Give the sign-ins of a page."""
    again = SignInAgain(flow)
    yield again
    await again.close()


async def over(again: SignInAgain, account: str) -> None:
    """Return when the sign-in of that account is over."""
    await asyncio.wait([again._tasks[account]])


async def test_it_tells_where_it_goes_on_and_then_who_signed_in(again: SignInAgain, flow: Flow) -> None:
    """The page has the URL at once, and the outcome in the end."""
    await again.begin("alice")
    assert again.progress["alice"].url == URL
    flow.answer.set_result("alice@example.com")
    await over(again, "alice")
    assert again.progress["alice"].url == ""
    assert again.progress["alice"].told == "Signed in anew as alice@example.com."


async def test_a_second_one_takes_the_place_of_the_first(again: SignInAgain, flow: Flow) -> None:
    """Whoever has closed the tab can start over; the first one is given up."""
    await again.begin("alice")
    await again.begin("alice")
    assert (flow.begun, flow.given_up) == (["alice", "alice"], 1)
    assert again.progress["alice"].url == URL


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
        (ZeroDivisionError("secret"), "The sign-in did not succeed, in an unforeseen way; see the log."),
    ],
)
async def test_a_failure_is_told(again: SignInAgain, flow: Flow, error: Exception, told: str) -> None:
    """The reason and its mend, and nothing of what was not foreseen."""
    flow.error = error
    await again.begin("alice")
    await over(again, "alice")
    assert again.progress["alice"].told == told
    assert again.progress["alice"].url == ""


async def test_it_does_not_wait_for_ever(flow: Flow) -> None:
    """A sign-in that nobody finishes is given up."""
    again = SignInAgain(flow, time_limit=0.0)
    await again.begin("alice")
    await over(again, "alice")
    assert again.progress["alice"].told.startswith("The sign-in took too long")
    await again.close()


async def test_closing_gives_up_what_is_under_way(flow: Flow) -> None:
    """No task outlives the proxy."""
    again = SignInAgain(flow)
    await again.begin("alice")
    await again.close()
    assert flow.given_up == 1
    assert again.progress["alice"].url == ""


async def test_the_url_is_not_shown_by_repr(again: SignInAgain) -> None:
    """It holds the state of the sign-in."""
    await again.begin("alice")
    assert "hidden" not in repr(again.progress["alice"])

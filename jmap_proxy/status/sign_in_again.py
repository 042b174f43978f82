"""Signing in anew from the status page: the flow runs in the serving process, one at a time for each account."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.errors import JmapProxyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    SignInFlow = Callable[[str, Callable[[str], None]], Awaitable[str]]

TIME_LIMIT = 600.0
"""Seconds that a sign-in may take; codes and forms of providers live no longer (RFC 6749 §4.1.2 says 10 minutes)."""

URL_PATIENCE = 15.0
"""Seconds until there is a URL to go to; finding the provider takes one or two requests."""

ASKING = "The provider is asked for its sign-in page. Reload this page in a moment."
UNDER_WAY = "The sign-in goes on at the provider. Reload this page when you are done there."
GIVEN_UP = "The sign-in was given up; nothing has changed."
TOO_LONG = "The sign-in took too long and was given up; nothing has changed."
UNFORESEEN = "The sign-in did not succeed, in an unforeseen way; see the log."

log = structlog.get_logger("jmap_proxy.status")


@dataclass(frozen=True, slots=True)
class Progress:
    """How a sign-in that was begun from the page is doing.

    Attributes:
        told: In words.
        at: Since when, in epoch seconds.
        outcome: "good" or "bad" of one that is over, "" of one that is under way.
        url: Where it goes on in the browser, "" if it does not.
    """

    told: str
    at: float
    outcome: str = ""
    url: str = field(default="", repr=False)


class SignInAgain:
    """The sign-ins that were begun from the page.

    Args:
        flow: Signs an account in: is given its name, and what to call with the URL for the browser; gives the name of
            the user. Raises JmapProxyError, and then has saved nothing.
        clock: Epoch seconds.
        time_limit: Seconds that a sign-in may take.
    """

    def __init__(self, flow: SignInFlow, clock: Callable[[], float], time_limit: float = TIME_LIMIT) -> None:
        self._flow = flow
        self._clock = clock
        self._time_limit = time_limit
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._given_up: set[asyncio.Task[None]] = set()
        self._progress: dict[str, Progress] = {}

    @property
    def progress(self) -> Mapping[str, Progress]:
        """By account, of all that were begun."""
        return self._progress

    async def begin(self, account: str) -> None:
        """Begin a sign-in, in the place of one that is under way; returns when there is a URL to go to, or an error."""
        while account in self._tasks:  # another one may begin while this waits
            await self._end(account)
        known = asyncio.Event()
        self._tell(account, ASKING)
        task = self._tasks[account] = asyncio.create_task(self._run(account, known), name=f"sign in {account}")
        waiting = asyncio.create_task(known.wait())
        try:
            await asyncio.wait([task, waiting], timeout=URL_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def forget(self, account: str) -> None:
        """Give up what is under way for an account, and tell nothing of it any more: it has gone or changed."""
        self._progress.pop(account, None)
        task = self._tasks.pop(account, None)
        if task is not None:
            task.cancel()
            self._given_up.add(task)
            task.add_done_callback(self._given_up.discard)

    async def close(self) -> None:
        """Give up all that are under way; nothing of them is saved."""
        await asyncio.gather(*map(self._end, list(self._tasks)))
        if self._given_up:
            await asyncio.wait(self._given_up)

    async def _run(self, account: str, known: asyncio.Event) -> None:
        this = asyncio.current_task()

        def tell(told: str, outcome: str = "", url: str = "") -> None:
            if self._tasks.get(account) is this:  # else it has been given up
                self._tell(account, told, outcome, url)

        def show(url: str) -> None:
            tell(UNDER_WAY, url=url)
            known.set()

        try:
            async with asyncio.timeout(self._time_limit):
                username = await self._flow(account, show)
        except TimeoutError:
            tell(TOO_LONG, "bad")
        except JmapProxyError as error:
            log.warning("sign-in from the page failed", account=account, detail=error.detail, hint=error.hint)
            mend = f" Mend: {error.hint}." if error.hint else ""
            tell(f"The sign-in did not succeed: {error.detail}.{mend}", "bad")
        except Exception:
            log.exception("sign-in from the page failed", account=account)
            tell(UNFORESEEN, "bad")
        else:
            log.info("signed in from the page", account=account)
            tell(f"Signed in anew as {username}." if username else "Signed in anew.", "good")

    async def _end(self, account: str) -> None:
        task = self._tasks[account]
        task.cancel()
        await asyncio.wait([task])
        if self._tasks.get(account) is task:
            del self._tasks[account]
            if task.cancelled():  # else it was over, or its tokens were being saved already
                self._tell(account, GIVEN_UP, "bad")

    def _tell(self, account: str, told: str, outcome: str = "", url: str = "") -> None:
        self._progress[account] = Progress(told, self._clock(), outcome, url)

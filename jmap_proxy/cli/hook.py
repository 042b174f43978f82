"""The command that the user wants run when an account needs a new sign-in."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

THROTTLE = 600.0
"""Seconds between two runs for one account; an account that is lost again and again need not be told each time."""

TIME_LIMIT = 60.0
"""Seconds that the command may take."""

log = structlog.get_logger("jmap_proxy.hook")


class SignInHook:
    """Runs the command; the account stands in its environment, never in its arguments.

    Args:
        command: Program and arguments; none: nothing is run.
        clock: Epoch seconds.
        time_limit: Seconds after which the command is ended.
    """

    def __init__(self, command: Sequence[str], clock: Callable[[], float], time_limit: float = TIME_LIMIT) -> None:
        self._command = command
        self._clock = clock
        self._time_limit = time_limit
        self._last: dict[str, float] = {}
        self._running: set[asyncio.Task[None]] = set()

    def __call__(self, account: str, reason: str) -> None:
        """Tell of a lost sign-in; returns at once."""
        now = self._clock()
        if not self._command or 0 <= now - self._last.get(account, float("-inf")) < THROTTLE:
            return
        self._last[account] = now
        task = asyncio.create_task(self._run(account, reason), name=f"hook for {account}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Wait for commands that still run; each has its time limit."""
        if self._running:
            await asyncio.wait(self._running)

    async def _run(self, account: str, reason: str) -> None:
        environment = {
            **os.environ,
            "JMAP_PROXY_ACCOUNT": account,
            "JMAP_PROXY_REASON": reason,
            "JMAP_PROXY_MEND": f"jmap-proxy login {account}",
        }
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
            )
        except (OSError, ValueError) as error:
            log.error("hook cannot be run", command=self._command[0], error=type(error).__name__)
            return
        try:
            code = await asyncio.wait_for(process.wait(), self._time_limit)
        except TimeoutError:
            process.kill()
            await process.wait()
            log.warning("hook took too long and was ended", account=account)
            return
        log.log(20 if code == 0 else 30, "hook has run", account=account, exit_code=code)

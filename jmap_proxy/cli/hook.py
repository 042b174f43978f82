"""The command that the user wants run when an account needs a new sign-in."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Protocol

import structlog

from jmap_proxy.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_ONCE = 4
"""Commands that run at the same time; a provider that ends all sign-ins at once must not fill the machine with them."""

TIME_LIMIT = 60.0
"""Seconds that the command may take."""

log = structlog.get_logger("jmap_proxy.hook")


class Notes(Protocol):
    """Where it is noted, for all processes, which loss the user has been told of: a FileTokenStore."""

    async def first_to_tell(self, sign_in_id: str) -> bool:
        """See `FileTokenStore.first_to_tell`. Raises StoreError."""


class SignInHook:
    """Runs the command once for each loss; the account stands in its environment, never in its arguments.

    Of all processes on one store, whoever notes the loss runs it. It is noted when the command's turn has come: what
    a shutdown leaves undone is done after the next start.

    Args:
        command: Program and arguments; none: nothing is run, and nothing is noted.
        time_limit: Seconds after which the command is ended, and all that it has started; also the seconds that
            `close` waits.

    Attributes:
        command: May be exchanged at any time.
    """

    def __init__(self, command: Sequence[str], time_limit: float = TIME_LIMIT) -> None:
        self.command = command
        self._time_limit = time_limit
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._told: dict[str, str] = {}
        self._running: set[asyncio.Task[None]] = set()

    def __call__(self, account: str, notes: Notes, sign_in_id: str, reason: str) -> None:
        """Tell of a lost sign-in; returns at once."""
        if not self.command or self._told.get(account) == sign_in_id:
            return
        self._told[account] = sign_in_id
        task = asyncio.create_task(self._tell(account, notes, sign_in_id, reason), name=f"hook for {account}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Wait for the commands, `time_limit` seconds at most; then those that run are ended."""
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=self._time_limit)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
            log.warning("hooks are left to the next start", accounts=len(late))

    async def _tell(self, account: str, notes: Notes, sign_in_id: str, reason: str) -> None:
        async with self._turns:
            if await _is_first(notes, sign_in_id):
                await self._run(account, reason)

    async def _run(self, account: str, reason: str) -> None:
        environment = {
            **os.environ,
            "JMAP_PROXY_ACCOUNT": account,
            "JMAP_PROXY_REASON": reason,
            "JMAP_PROXY_MEND": f"jmap-proxy login {account}",
        }
        command = self.command
        try:
            # in a session of its own: a ^C at our terminal is not for it, and it can be ended with its children
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            log.error("hook cannot be run", command=command[0], error=type(error).__name__)
            return
        try:
            code = await asyncio.wait_for(process.wait(), self._time_limit)
        except TimeoutError:
            await _end(process)
            log.warning("hook took too long and was ended", account=account)
        except asyncio.CancelledError:
            await _end(process)
            raise
        else:
            log.log(20 if code == 0 else 30, "hook has run", account=account, exit_code=code)


async def _is_first(notes: Notes, sign_in_id: str) -> bool:
    """Whether the user has not been told yet; where that cannot be noted they are told, better twice than never."""
    try:
        return await notes.first_to_tell(sign_in_id)
    except StoreError as error:
        log.warning("hook runs without a note of it", error=error.detail, hint=error.hint)
        return True


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command and whatever it has started in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter of what has just ended
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()

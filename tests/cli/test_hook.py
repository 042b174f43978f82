import shlex
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from jmap_proxy.cli.hook import THROTTLE, SignInHook
from tests.support.clock import Clock


def telling(path: Path) -> list[str]:
    """Return a command that adds what it is told to a file."""
    code = (
        f"import os; open({str(path)!r}, 'a').write(os.environ['JMAP_PROXY_ACCOUNT'] + os.environ['JMAP_PROXY_REASON'])"
    )
    return [sys.executable, "-c", code]


@pytest.mark.parametrize("account", ["alice", "$(touch /tmp/x); --help"])
async def test_the_command_is_told_the_account_by_its_environment(tmp_path: Path, account: str) -> None:
    """No shell looks at it."""
    hook = SignInHook(telling(tmp_path / "told"), Clock())
    hook(account, " is gone")
    await hook.close()
    assert (tmp_path / "told").read_text() == f"{account} is gone"


async def test_it_runs_once_for_each_loss_and_not_too_often(tmp_path: Path) -> None:
    """Each account has a time of its own."""
    clock = Clock()
    hook = SignInHook(telling(tmp_path / "told"), clock)
    for account, seconds in (("a", 0), ("a", THROTTLE - 1), ("b", 0), ("a", 1), ("a", 5)):
        clock.now += seconds
        hook(account, "")
        await hook.close()
    assert (tmp_path / "told").read_text() == "aba"


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (["/nowhere/to/be/found"], "hook cannot be run"),
        (shlex.split(f"{sys.executable} -c 'import time; time.sleep(60)'"), "hook took too long and was ended"),
        ([sys.executable, "-c", "raise SystemExit(3)"], "hook has run"),
    ],
)
async def test_what_goes_wrong_is_logged_and_hurts_nobody(command: list[str], event: str) -> None:
    """Nothing is raised, and nothing waits for ever."""
    hook = SignInHook(command, Clock(), time_limit=5 if "raise" in command[-1] else 0.05)
    with capture_logs() as lines:
        hook("alice", "gone")
        await hook.close()
    assert [(line["event"], line["log_level"] in {"warning", "error"}) for line in lines] == [(event, True)]


async def test_without_a_command_nothing_is_run() -> None:
    """The default."""
    hook = SignInHook((), Clock())
    hook("alice", "gone")
    await hook.close()

from __future__ import annotations

import sys

from jmap_proxy.cli.role import Role
from jmap_proxy.cli.workers.crew import Crew
from jmap_proxy.cli.workers.supervising import role_of, worker_command
from jmap_proxy.log import Levels
from jmap_proxy.status.traffic import Traffic

LEVELS = Levels("warning", {"proxy": "debug"})


def test_one_process_is_all_there_is() -> None:
    """Unless more are asked for."""
    assert type(role_of(1, LEVELS, "json", Traffic(float))) is Role
    assert type(role_of(2, LEVELS, "json", Traffic(float))) is Crew


def test_workers_log_as_the_supervisor_does() -> None:
    """And take nothing from the folder in which they are started."""
    assert worker_command(LEVELS, "json") == [
        *(sys.executable, "-P", "-m", "jmap_proxy.cli.workers"),
        *("warning,proxy=debug", "json"),
    ]

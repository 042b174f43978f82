"""Makes the roles that `serve` can have: the only process, or the supervisor of several."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

from jmap_proxy.cli.role import Role
from jmap_proxy.cli.workers.crew import Crew
from jmap_proxy.cli.workers.process import WorkerProcess

if TYPE_CHECKING:
    from jmap_proxy.log import Levels
    from jmap_proxy.status.traffic import Traffic

MODULE = "jmap_proxy.cli.workers"


def worker_command(levels: Levels, form: str) -> list[str]:
    """What starts a worker that logs like that; the number of its end of the channel is to be added. Pure.

    -P: what lies in the current folder is no part of the program.
    """
    return [sys.executable, "-P", "-m", MODULE, levels.text, form]


def role_of(workers: int, levels: Levels, form: str, traffic: Traffic) -> Role:
    """The role of `serve`.

    Args:
        workers: How many processes are to serve.
        levels: How much they log.
        form: In which form.
        traffic: Where is added up what they count.
    """
    if workers == 1:
        return Role()
    start = functools.partial(WorkerProcess.start, worker_command(levels, form))
    return Crew(workers, start, lambda told: traffic.add(told.counts))

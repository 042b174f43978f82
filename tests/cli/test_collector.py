"""What the collector of garbage leaves out, in a process of its own, since it is for ever."""

import subprocess
import sys

PROGRAM = """
import gc
from jmap_proxy.cli.collector import leave_out_what_stays
before = len(gc.get_objects())
leave_out_what_stays()
print(before > 10_000, gc.get_freeze_count() >= before, len(gc.get_objects()) < 100, gc.isenabled())
"""


def test_what_is_there_is_not_looked_at_again() -> None:
    """All of it; what comes later is collected as ever."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert done.stdout.split() == ["True"] * 4

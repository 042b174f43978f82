from pathlib import Path

from bench.quota import limits, place

FIRST = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
"""


def test_the_hierarchy_that_parts_the_processor_is_found() -> None:
    """Version 1 where it has the processor's time: then version 2, mounted beside it, has not."""
    assert place(FIRST) == (Path("/sys/fs/cgroup/cpu,cpuacct"), False)
    assert place("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n") == (Path("/sys/fs/cgroup"), True)
    assert place("tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /c cgroup rw,cpuset 0 0\n") is None


def test_a_share_is_written_as_each_version_wants_it() -> None:
    """So many microseconds of each tenth of a second."""
    assert limits(0.25, is_second=False) == {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "25000"}
    assert limits(0.25, is_second=True) == {"cpu.max": "25000 100000"}

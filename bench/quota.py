"""Processes that get but a part of a core each, as the kernel counts it: control groups, version 1 or 2, as root."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PERIOD = 100_000
"""Microseconds after which a process gets its part anew: long enough to work in one go as it would without a limit."""

MOUNTS = Path("/proc/mounts")


def place(mounts: str) -> tuple[Path, bool] | None:
    """Where groups that part a core can be made, and whether they are of version 2, from /proc/mounts. Pure."""
    second = None
    for _, folder, kind, options, *_ in (line.split() for line in mounts.splitlines()):
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(folder), False
        if kind == "cgroup2":
            second = Path(folder), True
    return second


def limits(share: float, *, is_second: bool) -> dict[str, str]:
    """What is to be written for a share of a core, by the name of the file. Pure."""
    quota = f"{PERIOD * share:.0f}"
    if is_second:
        return {"cpu.max": f"{quota} {PERIOD}"}
    return {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": quota}


@contextlib.contextmanager
def limited(name: str, processes: Sequence[int], share: float) -> Iterator[None]:
    """Let each of these processes have that share of a core while the context is open.

    Args:
        name: Begin of the names of their groups, which are gone afterwards.
        processes: By their ids.
        share: Of a core, for each.

    Raises:
        OSError: it cannot be done on this machine.
    """
    found = place(MOUNTS.read_text())
    if found is None:
        raise FileNotFoundError("no control groups are mounted that part a core")
    folder, is_second = found
    with contextlib.ExitStack() as stack:
        for process in processes:
            group = folder / f"{name}-{process}"
            group.mkdir()
            stack.callback(_leave, group, folder)
            for file, value in limits(share, is_second=is_second).items():
                (group / file).write_text(value)
            (group / "cgroup.procs").write_text(str(process))
        yield


def _leave(group: Path, parent: Path) -> None:
    for process in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            (parent / "cgroup.procs").write_text(process)
    group.rmdir()

"""A folder on a disk that takes no writes, for one process: a mount namespace of its own (unshare(1), Linux)."""

from __future__ import annotations

import functools
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

APART = ("unshare", "--user", "--map-root-user", "--mount")
MOUNT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@functools.cache
def _is_possible() -> bool:
    """Whether this machine lets its users make namespaces."""
    command = shutil.which(APART[0])
    if command is None:
        return False
    return subprocess.run([command, *APART[1:], "true"], check=False, capture_output=True).returncode == 0  # noqa: S603


needs_read_only = pytest.mark.skipif(not _is_possible(), reason="no namespaces of one's own here")


def apart(*command: str) -> tuple[str, ...]:
    """The command in a mount namespace of its own, where it may mount."""
    return (*APART, *command)


def read_only(folder: Path, *command: str) -> tuple[str, ...]:
    """The command where that folder takes no writes."""
    return apart("sh", "-c", MOUNT, str(folder), *command)

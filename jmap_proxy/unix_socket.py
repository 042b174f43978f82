"""The Unix socket to listen on: a file that only its owner's programs can use, and that goes with its server."""

from __future__ import annotations

import os
import socket
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from jmap_proxy import files
from jmap_proxy.errors import ConfigError, StoreError
from jmap_proxy.locks import file_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_PATH = 107 if sys.platform == "linux" else 103
"""Bytes; sun_path of unix(7) holds one more for the NUL."""

BACKLOG = 128
PROBE = 1.0
"""Seconds that a server gets to take the probing connection."""

LOCK_PATIENCE = 10.0


@contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """A listening socket at the path, mode 0600; the file is removed at the end, unless another server's is there.

    Where a server has died its file is replaced. The folder must be the user's own: in one that others can write to,
    another user could listen in our place and collect local keys. Blocks when it is entered.

    Raises:
        ConfigError: the path is too long, taken by something else, or in no folder of the user's own.
    """
    try:
        ours = _listening(path)
    except StoreError as error:
        raise ConfigError(f"listen.unix: {error.detail}", hint=error.hint) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"listen.unix: cannot listen on {path}: {reason}", hint="choose another path") from None
    identity = files.identity(path)
    try:
        yield ours
    finally:
        ours.close()
        if files.identity(path) == identity:
            path.unlink(missing_ok=True)


def _listening(path: Path) -> socket.socket:
    length = len(os.fsencode(path))
    if length > LONGEST_PATH:
        raise ConfigError(
            f"listen.unix: {path} has {length} bytes, a socket's path {LONGEST_PATH} at most",
            hint="choose a shorter path, for example below $XDG_RUNTIME_DIR",
        )
    files.own_folder(path.parent)
    # Under a lock: of two servers that start at the same time, one could take the other's new file for a dead one's.
    with file_lock(path.with_name(f"{path.name}.lock"), LOCK_PATIENCE):
        _clear(path)
        ours = socket.socket(socket.AF_UNIX)
        try:
            ours.bind(str(path))
            path.chmod(files.PRIVATE_FILE)  # before anybody can connect
            ours.listen(BACKLOG)
        except BaseException:
            ours.close()
            raise
    return ours


def _clear(path: Path) -> None:
    """Remove what a dead server has left. Raises ConfigError where the path is taken."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigError(f"listen.unix: {path} is there and is no socket", hint="move it away, or choose another path")
    if _is_alive(path):
        raise ConfigError(
            f"listen.unix: cannot listen on {path}: a program is listening there",
            hint="see whether another jmap-proxy is running, or choose another path",
        )
    path.unlink()


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except (BlockingIOError, TimeoutError):
            pass  # it is too busy to answer
    return True

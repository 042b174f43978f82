"""Private files: written durably and atomically, read only if nobody else can have touched them.

All functions block; callers on an event loop run them in a thread.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from jmap_proxy.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Identity = tuple[int, int, int, int]

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700

ELSEWHERE = "choose another folder, one of your own that others cannot write to"


def private_folder(path: Path) -> Path:
    """Make the folder where it is missing, parents too, all 0700; see that nobody else can enter it.

    Raises:
        StoreError: it cannot be made, belongs to someone else or others can enter it.
    """
    _check_mode(path, _folder(path), stat.S_IRWXG | stat.S_IRWXO)
    return path


def own_folder(path: Path) -> Path:
    """As `private_folder`, but an existing folder may be seen by others, as long as they cannot write to it."""
    _check_mode(path, _folder(path), stat.S_IWGRP | stat.S_IWOTH)
    return path


def _folder(path: Path) -> os.stat_result:
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.exists():
                folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        return path.stat()
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint=f"make {path} a folder of your own") from error


def check_writable(path: Path) -> None:
    """See that a file could be replaced, or made with its folders, as far as the system tells without a try.

    Raises:
        StoreError: it could not.
    """
    folder = next(parent for parent in path.absolute().parents if os.access(parent, os.F_OK))
    if not os.access(folder, os.W_OK | os.X_OK) or not folder.is_dir():
        raise StoreError(f"{folder} cannot be written to", hint=_write_hint(path))


def identity(path: Path) -> Identity | None:
    """What tells one version of a file from the next (inode, times, size), None if there is no such file.

    Raises:
        StoreError: it cannot be looked at.
    """
    try:
        status = os.stat(path)  # noqa: PTH116 - asked for at each request, and pathlib's own way takes longer
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint=f"check who owns {path}") from error
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size


def read_private(path: Path) -> bytes | None:
    """The bytes of a file of the program's own, None if there is no such file.

    Raises:
        StoreError: a link, not a plain file, someone else's, open to others, or unreadable.
    """
    return _read(path, os.O_NOFOLLOW, lambda status: _check_mode(path, status, stat.S_IRWXG | stat.S_IRWXO))


def read_trusted(path: Path) -> bytes | None:
    """The bytes of a file that the user or the system provides, None if there is no such file.

    It may be a link. One that root provides may be readable by others, as the secrets of containers are; the user's
    own must be private.

    Raises:
        StoreError: not a plain file, a third party's, open to others, or unreadable.
    """
    return _read(path, 0, lambda status: _check_provided(path, status))


def _read(path: Path, flags: int, check: Callable[[os.stat_result], None]) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint=f"check who owns {path}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path}: not a plain file", hint=f"move {path} away")
        check(status)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Replace the file: temporary file (0600), fsync, rename, fsync of the folder.

    After a crash at any moment the file holds the old bytes or the new ones, whole.

    Raises:
        StoreError: the disk is full, the folder is read-only, ...; the file holds the old bytes, or the new ones
            where only the folder could not be synced.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        _write_synced(temporary, data)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StoreError(f"{path}: {error.strerror}", hint=_write_hint(path)) from error


def create_durably(path: Path, data: bytes) -> bool:
    """As `write_durably`, but only if there is no such file yet; of two racing processes one wins.

    Returns:
        Whether this call made the file.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        _write_synced(temporary, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint=_write_hint(path)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return True


def copy_durably(path: Path, copy: Path) -> None:
    """Let `copy` hold the bytes that `path` holds now, in one step; replacing either later does not touch the other.

    Raises:
        StoreError: it cannot be made.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        os.link(path, temporary)
        temporary.replace(copy)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StoreError(f"{copy}: {error.strerror}", hint=_write_hint(copy)) from error
    with contextlib.suppress(OSError):
        temporary.unlink()  # rename(2) of two links to one file leaves both


def remove_leftovers(folder: Path, older_than: float) -> None:
    """Remove the temporary files of writers that were killed; `older_than` in epoch seconds. Never raises."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                if path.stat().st_ctime < older_than:
                    path.unlink()


def remove_durably(path: Path) -> bool:
    """Remove the file and sync the folder; whether there was one.

    Raises:
        StoreError: it cannot be removed.
    """
    try:
        path.unlink()
        _sync_folder(path.parent)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint=_write_hint(path)) from error
    return True


def _write_synced(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_hint(path: Path) -> str:
    return f"see that {path.parent} can be written to and has room"


def _check_provided(path: Path, status: os.stat_result) -> None:
    if status.st_uid == 0:
        _check_bits(path, status, stat.S_IWGRP | stat.S_IWOTH)
    else:
        _check_mode(path, status, stat.S_IRWXG | stat.S_IRWXO)


def _check_mode(path: Path, status: os.stat_result, forbidden: int) -> None:
    if status.st_uid != os.geteuid():
        hint = ELSEWHERE if stat.S_ISDIR(status.st_mode) else f"chown it, or remove {path}"
        raise StoreError(f"{path} belongs to another user", hint=hint)
    _check_bits(path, status, forbidden)


def _check_bits(path: Path, status: os.stat_result, forbidden: int) -> None:
    if status.st_mode & forbidden:
        mode = "700" if stat.S_ISDIR(status.st_mode) else "600"
        hint = ELSEWHERE if status.st_mode & stat.S_ISVTX else f"run: chmod {mode} {path}"  # /tmp is meant for all
        raise StoreError(f"{path} can be used by others", hint=hint)

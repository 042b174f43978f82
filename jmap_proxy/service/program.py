"""The platform's program for services (systemctl, launchctl), and the file that it reads. Blocks."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy import files
from jmap_proxy.errors import ServiceError
from jmap_proxy.service.seal import is_untouched

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 300.0
"""Seconds; a restart may take as long as TimeoutStopSec and the 90 s of a start together."""

FOR_ALL = 0o644
MISSING = 127


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended: its exit code and what it said."""

    code: int
    out: str
    err: str

    @property
    def is_good(self) -> bool:
        """Whether it did what it was to do."""
        return self.code == 0

    @property
    def said(self) -> str:
        """Its complaint, in a line."""
        words = " ".join((self.err or self.out).split())
        return words if words.isprintable() and words else f"exit code {self.code}"


def run(*argv: str, patience: float = PATIENCE) -> Done:
    """Run a program of the PATH; one that is not there, or does not end, has failed as the shell tells it, with 127."""
    try:
        ended = subprocess.run(  # noqa: S603 - the arguments are this program's own
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=patience,
            check=False,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        return Done(MISSING, "", f"{argv[0]}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Done(MISSING, "", f"{argv[0]} took longer than {patience:g} s")
    return Done(ended.returncode, ended.stdout, ended.stderr)


def read(path: Path) -> str | None:
    """What the file holds, None if there is none; a link is none of ours, whatever it leads to.

    Raises:
        ServiceError: it cannot be read.
    """
    try:
        if path.is_symlink():
            return ""
        return path.read_text("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ServiceError(f"{path}: {error.strerror}", hint=f"check who owns {path}") from error


def check_ours(path: Path, there: str | None, *, force: bool) -> None:
    """See that the file may be replaced or removed.

    Raises:
        ServiceError: somebody else wrote it, or has changed it.
    """
    if there is None or force or is_untouched(there):
        return
    raise ServiceError(
        f"{path} was written or changed by somebody else, and is left as it is",
        hint="give --force, which replaces or removes it all the same, or move it away",
    )


def write(path: Path, text: str) -> None:
    """Write the file in one step; others may read it.

    Raises:
        StoreError: it cannot be written.
    """
    files.own_folder(path.parent)
    files.write_durably(path, text.encode("utf-8", "surrogateescape"))
    path.chmod(FOR_ALL)

"""Whose the files are, and who can touch them: configuration, state, tokens, keys and secrets.

Looks at what the file system says of them and reads none. Blocks.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jmap_proxy.doctor.finding import Finding, error, info, ok

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jmap_proxy.doctor.installation import Installation

ROOT = 0

WRITTEN = stat.S_IWGRP | stat.S_IWOTH
USED = stat.S_IRWXG | stat.S_IRWXO
SHARED_KEY = stat.S_IWGRP | stat.S_IRWXO
"""A server's key is often given to a group of programs."""

CHANGES = {WRITTEN: "go-w", USED: "go=", SHARED_KEY: "g-w,o="}
"""What chmod is to do about mode bits that must not be."""

STATE_FILES = ("local-keys.json", "local-keys.lock", "data.key", "data-key.place", "data-key.lock")

LEFTOVER = 60.0
"""Seconds after which a temporary file has nobody who is still writing it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a path must be, if it is there.

    Attributes:
        path: The path.
        forbidden: Mode bits that it must not have.
        owners: User ids that it may belong to, empty for any.
        folder: Whether it is to be a folder, not a plain file.
        link: Whether it may be a link.
    """

    path: Path
    forbidden: int
    owners: tuple[int, ...]
    folder: bool = False
    link: bool = False


def judge_path(wanted: Wanted, status: os.stat_result) -> Finding | None:
    """What is wrong with a path, None if nothing is. Pure."""
    path, mode = wanted.path, status.st_mode
    shown = shlex.quote(str(path))
    is_wanted = stat.S_ISDIR(mode) if wanted.folder else stat.S_ISREG(mode)
    if not is_wanted:
        kind = "folder" if wanted.folder else "plain file"
        return error("wrong-kind", f"{path} is not a {kind}", f"move {path} away")
    if wanted.owners and status.st_uid not in wanted.owners:
        what = f"{path} belongs to another user (uid {status.st_uid})"
        return error("other-owner", what, f"as root, run: chown {wanted.owners[0]} {shown}")
    if mode & wanted.forbidden and not (wanted.folder and mode & stat.S_ISVTX):
        doing = "changed" if wanted.forbidden == WRITTEN else "used"
        what = f"{path} can be {doing} by others (mode {stat.S_IMODE(mode):o})"
        return error("open-to-others", what, f"run: chmod {CHANGES[wanted.forbidden]} {shown}")
    return None


def look_at_files(installation: Installation) -> tuple[list[Finding], frozenset[Path]]:
    """Look at all files that matter.

    Returns:
        The findings, and the paths that are wrong: of those nothing else needs to be said.
    """
    findings, wrong = list[Finding](), set[Path]()
    for wanted in _all_wanted(installation):
        if (finding := _look(wanted)) is not None:
            findings.append(finding)
            wrong.add(wanted.path)
    findings += _missing_secrets(installation, wrong)
    findings += _unwritable(installation.state)
    if not findings:
        findings.append(ok("files", "nobody else can use or change them"))
    return [*findings, *_leftovers(installation)], frozenset(wrong)


def look_at_config_file(path: Path) -> list[Finding]:
    """Look at the configuration alone: who can change it can have programs run (hooks)."""
    return [finding for wanted in _config(path) if (finding := _look(wanted)) is not None]


def _all_wanted(installation: Installation) -> Iterator[Wanted]:
    state, us = installation.state, (os.geteuid(),)
    yield from _config(installation.config_file)
    yield Wanted(state, WRITTEN, us, folder=True, link=True)
    yield from (Wanted(state / name, USED, us) for name in STATE_FILES)
    for folder in (installation.tokens, installation.tls):
        yield Wanted(folder, USED, us, folder=True, link=True)
        yield from (Wanted(path, USED, us) for path in _within(folder) if not _is_temporary(path))
    yield from (Wanted(path, _kept_by(path), (*us, ROOT), link=True) for _, _, path in _secret_files(installation))
    for text in {account.ca_file for account in installation.examined.values()} - {""}:
        yield Wanted(_expanded(text), WRITTEN, (), link=True)
    if installation.config.listen.key_file:
        yield Wanted(_expanded(installation.config.listen.key_file), SHARED_KEY, (), link=True)


def _config(path: Path) -> Iterator[Wanted]:
    owners = (os.geteuid(), ROOT)
    yield Wanted(path, WRITTEN, owners, link=True)
    yield Wanted(path.absolute().parent, WRITTEN, owners, folder=True, link=True)


def _kept_by(path: Path) -> int:
    """What is forbidden for a secret: root's may be read by others, as the secrets of containers are."""
    with contextlib.suppress(OSError):
        if path.stat().st_uid == ROOT != os.geteuid():
            return WRITTEN
    return USED


def _look(wanted: Wanted) -> Finding | None:
    path = wanted.path
    try:
        return judge_path(wanted, path.stat() if wanted.link else path.lstat())
    except FileNotFoundError:
        return None
    except OSError as problem:
        return error("unreadable", f"{path}: {problem.strerror}", f"see who owns {path} and the folders above it")


def _missing_secrets(installation: Installation, wrong: Iterable[Path]) -> Iterator[Finding]:
    for name, key, path in _secret_files(installation):
        if path not in wrong and not (path.exists() and path.stat().st_size):
            where = f"accounts.{name}.{key}"
            yield error("secret-missing", f"{where}: {path} is missing or empty", f"write the secret to {path}", name)


def _secret_files(installation: Installation) -> Iterator[tuple[str, str, Path]]:
    """Account, config key and path of each secret that the user provides."""
    for name, account in installation.examined.items():
        for key, text in (
            ("client_secret_file", account.client_secret_file),
            ("client_key_file", account.client_key_file),
        ):
            if text:
                yield name, key, _expanded(text)


def _unwritable(state: Path) -> Iterator[Finding]:
    if state.is_dir() and not os.access(state, os.W_OK | os.X_OK):
        yield error(
            "state-not-writable",
            f"new tokens cannot be saved: {state} cannot be written to",
            f"run: chmod u+rwx {shlex.quote(str(state))}; or see whether its disk is mounted read-only",
        )


def _leftovers(installation: Installation) -> Iterator[Finding]:
    end = installation.clock() - LEFTOVER
    found = []
    for folder in (installation.state, installation.tokens, installation.tls):
        for path in filter(_is_temporary, _within(folder)):
            with contextlib.suppress(OSError):  # it has just gone
                if path.lstat().st_ctime < end:
                    found.append(path)
    if found:
        what = f"{len(found)} temporary files of writers that were killed, such as {found[0]}"
        yield info("leftover-files", what, "run: jmap-proxy serve, which removes them when it starts")


def _within(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # the folder itself has been looked at
        return []


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == ".tmp"


def _expanded(text: str) -> Path:
    """The path; "~" stays where there is no home folder, and is then found to be missing."""
    with contextlib.suppress(RuntimeError):
        return Path(text).expanduser()
    return Path(text)

"""Adding an account to the configuration file: a section at its end, and not a byte of the rest touched.

`section` and `with_section` are pure; `ConfigFile` writes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import tomlkit

from jmap_proxy import files
from jmap_proxy.config import Config, parse_config
from jmap_proxy.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PLAIN_FILE = 0o777
"""The part of a file's mode that a new version keeps."""


def section(name: str, keys: Mapping[str, str | Sequence[str]]) -> str:
    """The TOML of `[accounts.NAME]`; keys without a value are left out."""
    account = tomlkit.table()
    for key, value in keys.items():
        if value:
            account.add(key, value if isinstance(value, str) else list(value))
    accounts = tomlkit.table(is_super_table=True)
    accounts.add(tomlkit.key(name), account)
    document = tomlkit.document()
    document.add("accounts", accounts)
    return tomlkit.dumps(document)


def with_section(text: str, name: str, added: str) -> tuple[str, Config]:
    """A configuration with a section added at its end, and what it says.

    Args:
        text: TOML.
        name: The new account.
        added: Its section.

    Raises:
        ConfigError: the text is none, has that account already, or lets nothing be added at its end.
    """
    before = parse_config(text)
    if name in before.accounts:
        raise ConfigError(f"the configuration has an account {name!r} by now", hint=f"run: jmap-proxy login {name}")
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    new = text + (gap + added).replace("\n", "\r\n" if "\r\n" in text else "\n")
    parse_config(added)  # what is wrong with the section itself is told as such
    try:
        after = parse_config(new)
    except ConfigError as error:
        raise ConfigError(
            f"no section can be added at the end of the configuration: {error.detail}", hint=pasted(added)
        ) from None
    return new, after


def pasted(added: str) -> str:
    """The hint that tells how to add a section by hand."""
    return "add this by hand, and sign in then:\n\n" + added.strip()


class ConfigFile:
    """The configuration file, to which an account is to be added.

    Args:
        path: Where it is or shall be; a link is followed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._target = Path(os.path.realpath(path))
        self._before: bytes | None = None
        self._written: bytes | None = None

    def read(self) -> str:
        """What stands in it, "" where there is none yet. Blocks. Raises ConfigError."""
        try:
            return self._read().decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{self.path} is not UTF-8", hint="save it as UTF-8") from None

    def check_writable(self, added: str) -> None:
        """See that a section could be added, before anybody signs in for it. Blocks. Raises ConfigError."""
        with self._told(added):
            files.check_writable(self._target)
            if self._target.exists():
                if not os.access(self._target, os.W_OK):
                    raise ConfigError(f"{self.path} cannot be written: it is read-only", hint=pasted(added))
            elif self._target.parent.exists():
                files.own_folder(self._target.parent)

    def add(self, name: str, added: str) -> None:
        """Add a section to what stands in the file now. Blocks.

        Raises:
            ConfigError: it cannot be added or written; the file is as it was.
        """
        with self._told(added):
            if not self._target.exists():
                files.own_folder(self._target.parent)
        with self._told(added), _alone_in(self._target.parent):
            text = self.read()
            new = with_section(text, name, added)[0].encode()
            self._before = text.encode() if self._target.exists() else None
            _replace(self._target, new)
        self._written = new

    def take_back(self) -> None:
        """Undo `add`, if nobody has changed the file since; never raises. Blocks."""
        if self._written is None:
            return
        with contextlib.suppress(OSError, ConfigError), _alone_in(self._target.parent):
            if self._read() != self._written:
                return
            if self._before is None:
                self._target.unlink()
            else:
                _replace(self._target, self._before)
            self._written = None

    @contextlib.contextmanager
    def _told(self, added: str) -> Iterator[None]:
        """Turns what keeps the file from being written into an error that says how to go on by hand."""
        try:
            yield
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}", hint=pasted(added)) from None
        except StoreError as error:
            hint = f"{error.hint}; or {pasted(added)}"
            raise ConfigError(f"{self.path} cannot be written: {error.detail}", hint=hint) from None

    def _read(self) -> bytes:
        try:
            return self._target.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keeps other sign-ins from changing a file of the folder meanwhile; waits for them. Raises OSError.

    The folder itself is locked: a lock file of its own would stay among the user's.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # some file systems of networks have no such locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        with contextlib.suppress(OSError):  # nor this; the file is whole all the same
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, data: bytes) -> None:
    """Write the file in one step, with the mode that it has; a new one is for its owner alone. Raises OSError."""
    mode = stat.S_IMODE(path.stat().st_mode) & PLAIN_FILE if path.exists() else files.PRIVATE_FILE
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, files.PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise

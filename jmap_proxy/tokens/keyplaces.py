"""Where data keys can be kept: the desktop's keyring, a credential of systemd's, a file. All of it blocks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jmap_proxy import files
from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.datakey import DataKey, format_keys, parse_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

SERVICE = "jmap-proxy"
CREDENTIAL = "jmap-proxy-data-key"


class KeyPlace(Protocol):
    """A place for data keys."""

    def describe(self) -> str:
        """What it is, for `status`."""

    def is_usable(self) -> bool:
        """Whether new keys can be expected to stay there. Never raises."""

    def held(self) -> tuple[DataKey, ...]:
        """The keys, the current one last; none if nothing was ever put there. Raises StoreError."""

    def put(self, keys: Sequence[DataKey]) -> None:
        """Keep these instead; none: forget all. Durable when it returns. Raises StoreError."""


class KeyFile:
    """A file of its own, readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def describe(self) -> str:
        """See `KeyPlace`."""
        return f"key file {self._path}"

    def is_usable(self) -> bool:
        """Always; what stands against it is told when it is written."""
        return True

    def held(self) -> tuple[DataKey, ...]:
        """See `KeyPlace`."""
        raw = files.read_private(self._path)
        return () if raw is None else _parsed(raw, str(self._path))

    def put(self, keys: Sequence[DataKey]) -> None:
        """See `KeyPlace`."""
        if not keys:
            files.remove_durably(self._path)
            return
        files.own_folder(self._path.parent)
        files.write_durably(self._path, format_keys(keys))


class CredentialKey:
    """A credential that systemd hands to the service (systemd.exec(5), LoadCredentialEncrypted=); it can only be read.

    Args:
        environment: Names the folder as CREDENTIALS_DIRECTORY.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        folder = environment.get("CREDENTIALS_DIRECTORY", "")
        self._path = Path(folder) / CREDENTIAL if folder else None

    def describe(self) -> str:
        """See `KeyPlace`."""
        return f"systemd credential {CREDENTIAL}"

    def is_usable(self) -> bool:
        """Whether there is a good one."""
        try:
            return bool(self.held())
        except StoreError:
            return False

    def held(self) -> tuple[DataKey, ...]:
        """See `KeyPlace`."""
        raw = files.read_trusted(self._path) if self._path else None
        return () if raw is None else _parsed(raw, f"the credential {CREDENTIAL}")

    def put(self, keys: Sequence[DataKey]) -> None:
        """Raises StoreError unless it holds just these already."""
        if tuple(keys) != self.held():
            raise StoreError(
                f"the {self.describe()} is systemd's to change",
                hint=f"give the unit another LoadCredentialEncrypted={CREDENTIAL}",
            )


class KeyringKey:
    """An entry in the desktop's keyring (Secret Service, KWallet, macOS Keychain, Windows).

    Args:
        state: The state folder; each has a key of its own.
    """

    def __init__(self, state: Path) -> None:
        self._entry = str(state)

    def describe(self) -> str:
        """See `KeyPlace`."""
        return f"the keyring, entry {SERVICE!r}"

    def is_usable(self) -> bool:
        """Whether there is a keyring that keeps what it is given."""
        try:
            return float(_keyring().get_keyring().priority) > 0
        except Exception:  # noqa: BLE001 - backends raise what they like (D-Bus, COM, ...)
            return False

    def held(self) -> tuple[DataKey, ...]:
        """See `KeyPlace`."""
        try:
            text = _keyring().get_password(SERVICE, self._entry)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._error(error) from None
        return () if text is None else _parsed(text.encode(), self.describe())

    def put(self, keys: Sequence[DataKey]) -> None:
        """See `KeyPlace`."""
        try:
            if keys:
                _keyring().set_password(SERVICE, self._entry, format_keys(keys).decode())
            elif _keyring().get_password(SERVICE, self._entry) is not None:
                _keyring().delete_password(SERVICE, self._entry)
        except Exception as error:  # noqa: BLE001 - as above
            raise self._error(error) from None
        if self.held() != tuple(keys):
            raise StoreError(f"{self.describe()} does not keep what it is given", hint='set store.key = "file"')

    def _error(self, error: Exception) -> StoreError:
        return StoreError(
            f"{self.describe()} does not answer: {type(error).__name__}",
            hint="unlock the keyring and see that its service is running for this user",
            retry_after=5,
        )


def _keyring() -> ModuleType:
    import keyring  # noqa: PLC0415 - looks for backends when it is imported, which takes time and is rarely needed

    return keyring


def _parsed(raw: bytes, where: str) -> tuple[DataKey, ...]:
    try:
        return parse_keys(raw)
    except ValueError:
        raise StoreError(
            f"{where} does not hold a data key",
            hint="restore it from a backup; without it the stored sign-ins cannot be read",
        ) from None

from pathlib import Path

import pytest

from jmap_proxy.tokens.keychain import Keychain, key_places
from jmap_proxy.tokens.store import FileTokenStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the token files; it is not there yet."""
    return tmp_path / "state" / "tokens"


@pytest.fixture
def keys(tmp_path: Path) -> Keychain:
    """Return the data keys; there is no key yet."""
    return Keychain(tmp_path / "state", key_places(tmp_path / "state", {}), "file")


@pytest.fixture
def store(folder: Path, keys: Keychain) -> FileTokenStore:
    """Return alice's store with nothing in it."""
    return FileTokenStore(folder, "alice", keys)

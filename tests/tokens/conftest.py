from pathlib import Path

import pytest

from jmap_proxy.tokens.datakey import KeyFile
from jmap_proxy.tokens.store import FileTokenStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the token files; it is not there yet."""
    return tmp_path / "state" / "tokens"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """Return the data key's source; there is no key yet."""
    return KeyFile(tmp_path / "state" / "data.key")


@pytest.fixture
def store(folder: Path, keys: KeyFile) -> FileTokenStore:
    """Return alice's store with nothing in it."""
    return FileTokenStore(folder, "alice", keys)

import base64
import multiprocessing
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens.datakey import DataKey, KeyFile


def _make_key(path: Path) -> str:
    return KeyFile(path).create().key_id


def test_a_key_is_made_once_and_stays(tmp_path: Path) -> None:
    """The key file is 0600 and gives the same key to everybody from then on."""
    path = tmp_path / "state" / "data.key"
    assert KeyFile(path).load() is None
    key = KeyFile(path).create()
    assert path.stat().st_mode & 0o777 == 0o600
    assert KeyFile(path).load() == KeyFile(path).create() == key
    assert [file.name for file in path.parent.iterdir()] == ["data.key"]


def test_of_racing_threads_all_get_the_winners_key(tmp_path: Path) -> None:
    """Makers that race in one process agree on one key."""
    with ThreadPool(8) as pool:
        assert len(set(pool.map(_make_key, [tmp_path / "data.key"] * 32))) == 1


def test_of_racing_processes_all_get_the_winners_key(tmp_path: Path) -> None:
    """Makers that race in several processes agree on one key."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(_make_key, [tmp_path / "data.key"] * 8, chunksize=1))) == 1
        pool.close()
        pool.join()


@pytest.mark.parametrize("content", [b"", b"no base64!", b"\xff", base64.b64encode(b"short"), b"A" * 100])
def test_a_damaged_key_file_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """What holds no key is told with the file's name, and not replaced by a new key."""
    path = tmp_path / "data.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match=rf"{path} does not hold a data key") as caught:
        KeyFile(path).create()
    assert "backup" in caught.value.hint
    assert path.read_bytes() == content


def test_a_key_file_open_to_others_is_refused(tmp_path: Path) -> None:
    """A key that others could read is not used."""
    path = tmp_path / "data.key"
    KeyFile(path).create()
    path.chmod(0o644)
    with pytest.raises(StoreError, match="can be used by others"):
        KeyFile(path).load()


class _Vanishing(KeyFile):
    """A key file that is gone again whenever one looks."""

    def load(self) -> None:
        """Find nothing."""


def test_a_key_that_vanishes_at_once_is_told(tmp_path: Path) -> None:
    """Rather than encrypt with a key that is not kept anywhere, it is an error."""
    with pytest.raises(StoreError, match="vanished"):
        _Vanishing(tmp_path / "data.key").create()


def test_a_key_shows_its_name_only() -> None:
    """Neither repr nor key id tells the key; the id tells two keys apart."""
    key = DataKey(b"0123456789abcdef" * 2)
    assert "0123" not in repr(key)
    assert key.key_id != DataKey(b"x" * 32).key_id
    assert len(key.key_id) == 16


def test_status_can_say_where_the_key_is(tmp_path: Path) -> None:
    """The description names the file."""
    assert KeyFile(tmp_path / "data.key").describe() == f"key file {tmp_path / 'data.key'}"

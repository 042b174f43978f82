import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from jmap_proxy import files
from jmap_proxy.errors import StoreError

ROOT = os.geteuid() == 0


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Return a private file."""
    path = tmp_path / "file"
    files.write_durably(path, b"old")
    return path


def asked_of_the_disk(act: Callable[[], object]) -> list[str]:
    """Which calls that matter after a power failure an act makes, in their order; all of them are real ones."""
    calls: list[str] = []

    def look(_frame: FrameType, event: str, what: object) -> None:
        if event == "c_call" and what in (os.fsync, os.replace, os.link, os.unlink):
            calls.append(getattr(what, "__name__", ""))

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        act()
    finally:
        sys.setprofile(before)
    return calls


def test_what_is_written_is_on_the_disk_before_it_takes_the_old_ones_place(tmp_path: Path) -> None:
    """Synced, renamed, and the rename synced: after a power failure there is one whole file, the new one if told so."""
    path = tmp_path / "file"
    assert asked_of_the_disk(lambda: files.write_durably(path, b"new")) == ["fsync", "replace", "fsync"]


def test_what_is_created_is_on_the_disk_before_it_has_its_name(tmp_path: Path) -> None:
    """And its name is there to stay when this is told."""
    calls = asked_of_the_disk(lambda: files.create_durably(tmp_path / "file", b"new"))
    assert calls == ["fsync", "link", "fsync", "unlink"]


def test_what_is_removed_stays_removed(private: Path) -> None:
    """The folder is synced: a note that comes back would be believed."""
    assert asked_of_the_disk(lambda: files.remove_durably(private)) == ["unlink", "fsync"]


def test_folders_are_made_private(tmp_path: Path) -> None:
    """Missing parents are made too, all 0700; an existing one stays as it is."""
    tmp_path.chmod(0o755)
    folder = files.private_folder(tmp_path / "a" / "b")
    assert (mode(folder), mode(folder.parent), mode(tmp_path)) == (0o700, 0o700, 0o755)
    assert files.private_folder(folder) == folder


def test_an_own_folder_may_be_seen_but_not_written_to(tmp_path: Path) -> None:
    """0755 is enough for the folder around; 0775 is not, and nothing but 0700 for a private one."""
    tmp_path.chmod(0o755)
    assert files.own_folder(tmp_path) == tmp_path
    with pytest.raises(StoreError, match="can be used by others") as caught:
        files.private_folder(tmp_path)
    assert caught.value.hint == f"run: chmod 700 {tmp_path}"
    tmp_path.chmod(0o775)
    with pytest.raises(StoreError, match="can be used by others"):
        files.own_folder(tmp_path)


def test_a_folder_that_cannot_be_made_is_told(private: Path) -> None:
    """A file in the folder's place is named."""
    with pytest.raises(StoreError, match=str(private)):
        files.private_folder(private / "folder")


def test_what_is_written_is_read(private: Path) -> None:
    """A write replaces the whole content; the file is 0600 and alone."""
    files.write_durably(private, b"new")
    assert files.read_private(private) == b"new"
    assert mode(private) == 0o600
    assert list(private.parent.iterdir()) == [private]


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    """Nothing there is not an error."""
    assert files.read_private(tmp_path / "none") is None


def test_what_is_no_plain_file_is_refused(private: Path, tmp_path: Path) -> None:
    """A folder, a pipe without a writer, a link and a path through a file are told by name, and never waited for."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe, 0o600)
    link.symlink_to(private)
    for path in (tmp_path, pipe, link, private / "below"):
        before = len(list(Path("/dev/fd").iterdir()))
        with pytest.raises(StoreError, match=str(path)):
            files.read_private(path)
        assert len(list(Path("/dev/fd").iterdir())) == before


@pytest.mark.skipif(not ROOT, reason="only root can give a file away")
def test_another_users_file_is_refused(private: Path) -> None:
    """What someone else owns is not trusted, whatever its mode."""
    os.chown(private, 12345, -1)
    with pytest.raises(StoreError, match="belongs to another user"):
        files.read_private(private)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where the target cannot be replaced the temporary file is taken away again."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(StoreError, match="folder"):
        files.write_durably(folder, b"new")
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("write", [files.write_durably, files.create_durably])
def test_a_missing_folder_is_told(tmp_path: Path, write: Callable[[Path, bytes], object]) -> None:
    """The hint names the folder."""
    with pytest.raises(StoreError, match="No such file") as caught:
        write(tmp_path / "none" / "file", b"new")
    assert str(tmp_path / "none") in caught.value.hint


def test_a_file_is_created_once(tmp_path: Path) -> None:
    """The second maker changes nothing, and neither leaves anything behind."""
    path = tmp_path / "file"
    assert files.create_durably(path, b"first") is True
    assert files.create_durably(path, b"second") is False
    assert files.read_private(path) == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_removing(private: Path) -> None:
    """A removal says whether there was a file, and tells what it cannot remove."""
    assert files.remove_durably(private) is True
    assert files.remove_durably(private) is False
    private.mkdir()
    with pytest.raises(StoreError, match=str(private)):
        files.remove_durably(private)


@pytest.mark.parametrize("mode", [0o600, *([0o444] if os.geteuid() == 0 else [])])
def test_a_provided_file_may_be_a_link_and_roots_readable_by_all(tmp_path: Path, mode: int) -> None:
    """Secrets of containers are links to files of root's that others can read."""
    real = tmp_path / "real"
    real.write_bytes(b"secret")
    real.chmod(mode)
    link = tmp_path / "link"
    link.symlink_to(real)
    assert files.read_trusted(link) == b"secret"
    assert files.read_trusted(tmp_path / "missing") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_provided_file_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    """Whoever can write to it could put in a secret of his own."""
    file = tmp_path / "file"
    file.write_bytes(b"secret")
    os.chown(file, 1234, 1234)
    with pytest.raises(StoreError, match="another user"):
        files.read_trusted(file)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    """A folder in the file's place is named."""
    with pytest.raises(StoreError, match="not a plain file"):
        files.read_trusted(tmp_path)


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_provided_file_is_refused_if_others_can_change_it(tmp_path: Path, mode: int) -> None:
    """Its mode is told with the mend."""
    file = tmp_path / "file"
    file.write_bytes(b"secret")
    file.chmod(mode)
    with pytest.raises(StoreError, match="can be used by others"):
        files.read_trusted(file)


def test_nobody_is_told_to_change_a_folder_of_all(tmp_path: Path) -> None:
    """Root would do it, and /tmp be closed for everybody."""
    tmp_path.chmod(0o1777)
    with pytest.raises(StoreError, match="can be used by others") as caught:
        files.own_folder(tmp_path)
    assert caught.value.hint == files.ELSEWHERE
    tmp_path.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(tmp_path, 12345, -1)
        with pytest.raises(StoreError, match="belongs to another user") as caught:
            files.own_folder(tmp_path)
        assert caught.value.hint == files.ELSEWHERE


def test_what_could_not_be_written_is_told(tmp_path: Path) -> None:
    """Without leaving a trace: the nearest folder that there is decides, and a plain file is none."""
    files.check_writable(tmp_path / "a" / "b" / "c")
    assert list(tmp_path.iterdir()) == []
    plain, closed = tmp_path / "plain", tmp_path / "closed"
    plain.touch()
    with pytest.raises(StoreError, match=f"{plain} cannot be written to"):
        files.check_writable(plain / "file")
    closed.mkdir(mode=0o500)
    if not os.access(closed, os.W_OK):  # root mostly may
        for path in (closed / "file", closed / "a" / "b"):
            with pytest.raises(StoreError, match=f"{closed} cannot be written to") as caught:
                files.check_writable(path)
            assert str(path.parent) in caught.value.hint

import os
import socket
import stat
from pathlib import Path

import pytest

from jmap_proxy.errors import ConfigError
from jmap_proxy.unix_socket import LONGEST_PATH, unix_socket


def connect(path: Path) -> None:
    """Connect, or raise what the kernel says."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_it_is_its_owners_alone_while_it_lasts(tmp_path: Path) -> None:
    """Mode 0600 whatever the umask, in a folder made 0700; gone at the end."""
    path = tmp_path / "made" / "proxy.sock"
    before = os.umask(0)
    try:
        with unix_socket(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            connect(path)
    finally:
        os.umask(before)
    assert not path.exists()


def test_a_dead_servers_file_is_replaced(tmp_path: Path) -> None:
    """As it lies there after a kill."""
    path = tmp_path / "proxy.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with pytest.raises(ConnectionRefusedError):
        connect(path)
    with unix_socket(path):
        connect(path)


@pytest.mark.parametrize("busy", [False, True])
def test_a_living_servers_file_is_not(tmp_path: Path, *, busy: bool) -> None:
    """Even where that is too busy to take another connection; it goes on."""
    path = tmp_path / "proxy.sock"
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as waiting:
        living.bind(str(path))
        living.listen(0)
        if busy:
            waiting.connect(str(path))
        with pytest.raises(ConfigError, match=r"listen\.unix: .*a program is listening there"), unix_socket(path):
            pass
        living.accept()[0].close()
        connect(path)


def test_of_two_servers_the_second_is_refused(tmp_path: Path) -> None:
    """And the first one's file stays."""
    path = tmp_path / "proxy.sock"
    with unix_socket(path):
        with pytest.raises(ConfigError, match="a program is listening there"), unix_socket(path):
            pass
        connect(path)


def test_the_next_servers_file_is_left(tmp_path: Path) -> None:
    """Who ends last removes only what is its own."""
    path = tmp_path / "proxy.sock"
    with unix_socket(path) as first:
        first.close()  # it still has requests in flight, and listens no more
        second = unix_socket(path)
        second.__enter__()
    connect(path)
    second.__exit__(None, None, None)
    assert not path.exists()


def test_other_files_are_never_removed(tmp_path: Path) -> None:
    """A plain file, a link to a socket."""
    plain, link = tmp_path / "plain", tmp_path / "link"
    plain.write_bytes(b"mail")
    link.symlink_to(plain)
    for path in (plain, link):
        with pytest.raises(ConfigError, match="is no socket"), unix_socket(path):
            pass
    assert plain.read_bytes() == b"mail"
    assert link.is_symlink()


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    """Another user could listen there in our place, and be shown the local keys."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    path = tmp_path / "open" / "proxy.sock"
    with pytest.raises(ConfigError, match=r"listen\.unix: .*can be used by others"), unix_socket(path):
        pass


def test_the_longest_path_works_and_no_longer_one(tmp_path: Path) -> None:
    """The kernel has room for so many bytes; the error says how many there are."""
    room = LONGEST_PATH - len(os.fsencode(tmp_path)) - 1
    with unix_socket(tmp_path / ("s" * room)):
        pass
    told = f"{LONGEST_PATH + 1} bytes, a socket's path {LONGEST_PATH} at most"
    with pytest.raises(ConfigError, match=told), unix_socket(tmp_path / ("s" * (room + 1))):
        pass


def test_an_impossible_path_is_told(tmp_path: Path) -> None:
    """A NUL in it, or a file where a folder should be."""
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "a\0b", tmp_path / "file" / "proxy.sock"):
        with pytest.raises(ConfigError, match=r"listen\.unix: "), unix_socket(path):
            pass

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jmap_proxy.activation import inherited_sockets
from jmap_proxy.errors import ConfigError

PID = 4711
FIRST = 200
"""Here the descriptors begin, since 3 is the test's own."""


@pytest.fixture
def handed_down() -> Iterator[list[int]]:
    """Give a place for descriptors that lie one behind the other, and close those that are still open."""
    descriptors: list[int] = []
    yield descriptors
    for each in descriptors:
        try:
            os.close(each)
        except OSError:
            continue


def hand_down(descriptors: list[int], *sockets: socket.socket) -> None:
    """Copy the sockets to descriptors from FIRST on, inheritable, and close them."""
    for each in sockets:
        with each:
            descriptors.append(fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, FIRST + len(descriptors)))
        assert descriptors[-1] == FIRST + len(descriptors) - 1
        os.set_inheritable(descriptors[-1], True)


def tcp() -> socket.socket:
    """A listening socket on loopback."""
    return socket.create_server(("127.0.0.1", 0))


def unix(folder: Path) -> socket.socket:
    """A listening Unix socket."""
    each = socket.socket(socket.AF_UNIX)
    each.bind(str(folder / "s"))
    each.listen()
    return each


def environment(count: int, names: str | None = None) -> dict[str, str]:
    """What the service manager tells."""
    told = {"LISTEN_PID": str(PID), "LISTEN_FDS": str(count), "PATH": "/bin"}
    return told if names is None else told | {"LISTEN_FDNAMES": names}


def test_sockets_are_taken_by_their_names(handed_down: list[int], tmp_path: Path) -> None:
    """Several may have one name; none is inherited by a child, and no child is told of them."""
    hand_down(handed_down, tcp(), tcp(), unix(tmp_path), tcp(), tcp(), tcp())
    told = environment(6, "http:http:unix:account-alice:https:admin")
    inherited = inherited_sockets(told, PID, ["alice"], FIRST)
    assert {name: [each.fileno() for each in group] for name, group in inherited.items()} == {
        "http": [FIRST, FIRST + 1],
        "unix": [FIRST + 2],
        "account-alice": [FIRST + 3],
        "https": [FIRST + 4],
        "admin": [FIRST + 5],
    }
    assert told == {"PATH": "/bin"}
    for each in (each for group in inherited.values() for each in group):
        assert not each.get_inheritable()
        assert each.getsockname()
        each.close()


@pytest.mark.parametrize("names", [None, "", "unknown:unknown", "jmap-proxy.socket:jmap-proxy.socket", "http"])
def test_without_a_name_they_are_taken_for_what_they_are(
    handed_down: list[int], tmp_path: Path, names: str | None
) -> None:
    """The service manager gives the unit's own name where FileDescriptorName= is missing."""
    hand_down(handed_down, tcp(), unix(tmp_path))
    inherited = inherited_sockets(environment(2, names), PID, [], FIRST)
    assert {name: len(group) for name, group in inherited.items()} == {"http": 1, "unix": 1}
    for group in inherited.values():
        group[0].close()


@pytest.mark.parametrize("told", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "1", "LISTEN_PID": str(PID + 1)}])
def test_what_is_for_another_process_is_left_alone(handed_down: list[int], told: dict[str, str]) -> None:
    """But its children are not told of it."""
    hand_down(handed_down, tcp())
    assert inherited_sockets(told, PID, [], FIRST) == {}
    assert told == {}
    os.fstat(FIRST)


@pytest.mark.parametrize("count", ["", "-1", "x", "65", "1" * 5000, "٣"])
def test_a_number_that_is_none_is_told(count: str) -> None:
    """No descriptor is touched."""
    with pytest.raises(ConfigError, match="LISTEN_FDS"):
        inherited_sockets({"LISTEN_PID": str(PID), "LISTEN_FDS": count}, PID, [], FIRST)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("smtp", "'smtp', which is none of http, https, admin, unix, account-alice"),
        ("account-bob", "'account-bob', which is none of"),
        ("unix", "'unix' is no Unix socket"),
    ],
)
def test_a_name_that_does_not_fit_is_told(handed_down: list[int], name: str, told: str) -> None:
    """With what there is; the sockets are closed, so that nobody waits for an answer."""
    hand_down(handed_down, tcp(), tcp())
    with pytest.raises(ConfigError, match=told) as caught:
        inherited_sockets(environment(2, f"http:{name}"), PID, ["alice"], FIRST)
    assert "FileDescriptorName=" in caught.value.hint
    for each in handed_down:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(each)


def test_a_unix_socket_is_no_http_address(handed_down: list[int], tmp_path: Path) -> None:
    """Its peers are let in by other rules."""
    hand_down(handed_down, unix(tmp_path))
    with pytest.raises(ConfigError, match="'http' is a Unix socket"):
        inherited_sockets(environment(1, "http"), PID, [], FIRST)


def test_what_does_not_listen_is_told(handed_down: list[int]) -> None:
    """A connection (Accept=yes), a datagram socket."""
    ours, theirs = socket.socketpair()
    hand_down(handed_down, ours, socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with theirs, pytest.raises(ConfigError, match=rf"the socket {FIRST} \(unix\) .* does not listen"):
        inherited_sockets(environment(1, "unix"), PID, [], FIRST)
    with pytest.raises(ConfigError, match="does not listen"):
        inherited_sockets(environment(1, "http"), PID, [], FIRST + 1)


def test_a_socket_of_another_family_is_told(handed_down: list[int]) -> None:
    """Nobody has thought of who may come in by it: AF_VSOCK is reached from other virtual machines."""
    if not hasattr(socket, "AF_VSOCK"):
        pytest.skip("Linux only")
    try:
        each = socket.socket(socket.AF_VSOCK)
    except OSError:
        pytest.skip("the kernel has none")
    each.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
    each.listen()
    hand_down(handed_down, each)
    with pytest.raises(ConfigError, match="does not listen for TCP or Unix connections"):
        inherited_sockets(environment(1, "https"), PID, [], FIRST)


def test_what_is_no_socket_is_told(handed_down: list[int], tmp_path: Path) -> None:
    """A file, or nothing at all."""
    with (tmp_path / "file").open("wb") as file:
        handed_down.append(fcntl.fcntl(file.fileno(), fcntl.F_DUPFD, FIRST))
    for first in (FIRST, FIRST + 1):
        with pytest.raises(ConfigError, match="is no socket"):
            inherited_sockets(environment(1, "http"), PID, [], first)

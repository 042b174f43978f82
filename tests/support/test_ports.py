import errno
import socket
from pathlib import Path

import pytest

from tests.support.ports import KEPT, free_port


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/dev/fd").iterdir()))


def test_a_port_can_be_listened_at_and_is_given_to_nobody_else() -> None:
    """A program that sets SO_REUSEADDR gets it; the kernel chooses it for none."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)), socket.socket() as other:
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is looked at
            other.bind(("127.0.0.1", port))
        assert caught.value.errno == errno.EADDRINUSE


def test_however_many_are_asked_for_few_descriptors_are_held() -> None:
    """A run of all tests asks for hundreds."""
    for _ in range(KEPT):
        free_port()
    before = descriptors()
    assert len({free_port() for _ in range(KEPT)}) == KEPT
    assert descriptors() <= before

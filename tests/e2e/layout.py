"""Where things are, and free ports."""

from __future__ import annotations

import socket
from pathlib import Path

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".e2e"  # what install.sh put there


def installed(path: str) -> Path:
    """A file that install.sh provides; one that is missing is a failure."""
    file = INSTALLED / path
    if not file.exists():
        raise AssertionError(f"{file} is missing: run tests/e2e/install.sh (make e2e does)")
    return file


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, chosen by the kernel, all different."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()

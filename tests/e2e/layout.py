"""Where things are, and free ports."""

from __future__ import annotations

from pathlib import Path

from tests.support.ports import free_port

HERE = Path(__file__).parent
INSTALLED = HERE.parents[1] / ".e2e"  # what install.sh put there


def installed(path: str) -> Path:
    """A file that install.sh provides; one that is missing is a failure."""
    file = INSTALLED / path
    if not file.exists():
        raise AssertionError(f"{file} is missing: run tests/e2e/install.sh (make e2e does)")
    return file


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on, all different."""
    return [free_port() for _ in range(count)]

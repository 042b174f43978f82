"""The tests mirror the package: each module has its own test file at the mirrored path."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "jmap_proxy"

WITHOUT = {
    "autodiscovery/found.py": "a value",
    "doctor/installation.py": "a value",
    "doctor/network.py": "puts looks together: doctor/test_planted_network.py",
    "proxy/forwarding.py": "values",
    "proxy/source.py": "a protocol",
}
"""Modules without a test file of their own, and why."""


def test_each_module_has_its_tests() -> None:
    """At the same place below `tests`, or there is a reason."""
    modules = {each.relative_to(PACKAGE) for each in PACKAGE.rglob("*.py") if not each.name.startswith("__")}
    assert len(modules) > 100
    lacking = {each.as_posix() for each in modules if not (HERE / each.with_name(f"test_{each.name}")).exists()}
    assert lacking == set(WITHOUT)

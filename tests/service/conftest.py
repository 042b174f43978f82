"""What the tests of services share: programs of the platform that write down how they are called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.platform_programs import PlatformPrograms

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformPrograms:
    """The platform's programs, before all others of the PATH."""
    programs = PlatformPrograms(tmp_path / "programs")
    monkeypatch.setenv("PATH", f"{programs.folder}{os.pathsep}{os.environ['PATH']}")
    return programs

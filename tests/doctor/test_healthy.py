from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.doctor.conftest import Patient


async def test_a_healthy_installation_gives_no_warning(patient: Patient) -> None:
    """And the exit code is 0."""
    ended, told = await patient.examine()
    assert (ended.code, ended.err, told) == (0, "", [])


async def test_all_that_is_well_is_told_too(patient: Patient) -> None:
    """So that one can see what was looked at."""
    ended, _ = await patient.examine()
    report = json.loads(ended.out)
    assert (report["ok"], report["errors"], report["warnings"]) == (True, 0, 0)
    codes = {finding["code"] for finding in report["findings"] if finding["level"] == "ok"}
    wanted = {
        "files",
        "data-key",
        "sign-in",
        "rotation",
        "local-key",
        "proxy",
        "door",
        "discovery",
        "scopes",
        "session",
        "clock",
    }
    assert codes == wanted


async def test_nothing_is_changed_and_no_token_renewed(patient: Patient) -> None:
    """Neither a file nor a token; a provider is asked for its metadata alone."""
    before = {path: path.stat().st_mtime_ns for path in patient.world.folder.rglob("*")}
    asked = len(patient.world.idp.token_requests)
    await patient.examine()
    assert {path: path.stat().st_mtime_ns for path in patient.world.folder.rglob("*")} == before
    assert len(patient.world.idp.token_requests) == asked

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.doctor.finding import Level
from jmap_proxy.doctor.stored import Stored, look_at_store
from tests.doctor.making import make_installation

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doctor.conftest import Patient


def test_a_state_folder_that_is_not_there_yet_is_none_to_mend(tmp_path: Path) -> None:
    """Nor is it made."""
    installation = make_installation(tmp_path)
    findings, stored = look_at_store(installation, frozenset())
    assert [(finding.code, finding.level) for finding in findings] == [("nothing-stored", Level.INFO)]
    assert stored == {"alice": Stored()}
    assert not installation.state.exists()


def test_no_data_key_is_made(tmp_path: Path) -> None:
    """Where there is none yet, it is told where it would be."""
    installation = make_installation(tmp_path)
    installation.state.mkdir(mode=0o700)
    findings, stored = look_at_store(installation, frozenset())
    assert [finding.code for finding in findings] == ["data-key"]
    assert "nothing is stored yet" in findings[0].what
    assert stored == {"alice": Stored()}
    assert list(installation.state.iterdir()) == []


async def test_notes_that_cannot_be_understood_count_as_none(patient: Patient) -> None:
    """As the proxy takes them."""
    for suffix in (".attempt", ".losses"):
        path = patient.world.token_file.with_suffix(suffix)
        path.write_bytes(b"\xff{")
        path.chmod(0o600)
    ended, told = await patient.examine()
    assert (ended.code, told) == (0, [])


async def test_what_is_stored_does_not_show_its_secrets(patient: Patient) -> None:
    """Not even by accident."""
    stored = Stored(await patient.world.stored())
    tokens = await patient.world.stored()
    assert tokens.access_token not in repr(stored)
    assert tokens.refresh_token not in repr(stored)

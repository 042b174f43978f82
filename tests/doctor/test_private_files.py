from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.doctor.finding import Level
from jmap_proxy.doctor.private_files import SHARED_KEY, USED, WRITTEN, Wanted, judge_path, look_at_files
from tests.doctor.making import ALICE, make_installation

if TYPE_CHECKING:
    from pathlib import Path


def _status(mode: int, uid: int = 1000) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, uid, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "forbidden", "mend"),
    [
        (0o600, USED, None),
        (0o644, WRITTEN, None),
        (0o640, SHARED_KEY, None),
        (0o640, USED, "run: chmod go= "),
        (0o660, WRITTEN, "run: chmod go-w "),
        (0o644, SHARED_KEY, "run: chmod g-w,o= "),
    ],
)
def test_the_mend_takes_away_what_is_too_much(tmp_path: Path, mode: int, forbidden: int, mend: str | None) -> None:
    """And the mended file is found to be good."""
    path = tmp_path / "a file"
    path.touch()
    path.chmod(mode)
    wanted = Wanted(path, forbidden, (os.geteuid(),))
    finding = judge_path(wanted, path.stat())
    if mend is None:
        assert finding is None
        return
    assert finding is not None
    assert finding.mend == f"{mend}'{path}'"
    assert os.system(finding.mend.removeprefix("run: ")) == 0  # noqa: S605 - as a user does it
    assert judge_path(wanted, path.stat()) is None


def test_a_file_of_somebody_else_is_told(tmp_path: Path) -> None:
    """Root's will do where it is allowed, or anybody's."""
    ours = Wanted(tmp_path, USED, (1000,))
    finding = judge_path(ours, _status(stat.S_IFREG | 0o600, uid=0))
    assert finding is not None
    assert (finding.code, finding.mend) == ("other-owner", f"as root, run: chown 1000 {tmp_path}")
    assert judge_path(Wanted(tmp_path, USED, (1000, 0)), _status(stat.S_IFREG | 0o600, uid=0)) is None
    assert judge_path(Wanted(tmp_path, USED, ()), _status(stat.S_IFREG | 0o600, uid=7)) is None


def test_in_a_folder_for_all_nobody_can_take_another_s_file(tmp_path: Path) -> None:
    """As in /tmp."""
    folder = Wanted(tmp_path, WRITTEN, (1000,), folder=True)
    assert judge_path(folder, _status(stat.S_IFDIR | 0o1777)) is None
    assert judge_path(folder, _status(stat.S_IFDIR | 0o777)) is not None


def test_a_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    """And a file in place of a folder."""
    for wanted, mode in ((False, stat.S_IFDIR), (True, stat.S_IFREG), (False, stat.S_IFIFO)):
        finding = judge_path(Wanted(tmp_path, USED, (), folder=wanted), _status(mode | 0o600))
        assert finding is not None
        assert finding.code == "wrong-kind"


def test_files_that_are_not_there_are_no_fault(tmp_path: Path) -> None:
    """Before the first sign-in."""
    findings, wrong = look_at_files(make_installation(tmp_path))
    assert [(finding.code, finding.level) for finding in findings] == [("files", Level.OK)]
    assert wrong == frozenset()


def test_a_path_through_a_file_cannot_be_looked_at(tmp_path: Path) -> None:
    """The reason is told."""
    installation = make_installation(tmp_path)
    installation.state.write_text("")
    findings, _ = look_at_files(installation)
    assert {finding.code for finding in findings} == {"wrong-kind", "unreadable"}


def test_what_killed_writers_have_left_is_told(tmp_path: Path) -> None:
    """But for a file that may just be written."""
    installation = make_installation(tmp_path, clock=lambda: time.time() + 120)
    installation.tokens.mkdir(parents=True, mode=0o700)
    (installation.tokens / ".alice.jwe.0123.tmp").touch(mode=0o600)
    finding = look_at_files(installation)[0][-1]
    assert (finding.code, finding.level) == ("leftover-files", Level.INFO)
    assert finding.mend.startswith("run: jmap-proxy serve")
    young = make_installation(tmp_path)
    assert [finding.code for finding in look_at_files(young)[0]] == ["files"]


def test_a_home_folder_that_there_is_not_is_a_missing_file(tmp_path: Path) -> None:
    """The path is told as it stands."""
    config = f'{ALICE}client_id = "x"\nclient_secret_file = "~nobody-there/secret"\n'
    findings, _ = look_at_files(make_installation(tmp_path, config))
    assert [finding.code for finding in findings] == ["secret-missing"]
    assert "~nobody-there/secret" in findings[0].what


@pytest.mark.parametrize("file", ["ca.pem", "key.pem"])
def test_files_that_the_user_provides_are_looked_at(tmp_path: Path, file: str) -> None:
    """Who can write to ca_file decides whom we trust; who can read key_file can speak for us."""
    (tmp_path / file).touch()
    (tmp_path / file).chmod(0o666)
    listen = '[listen]\ncert_file = "cert.pem"\nkey_file = "key.pem"\n'
    findings, wrong = look_at_files(make_installation(tmp_path, f'{listen}{ALICE}ca_file = "ca.pem"\n'))
    assert [finding.code for finding in findings] == ["open-to-others"]
    assert wrong == {tmp_path / file}


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_state_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    """New tokens would be lost."""
    installation = make_installation(tmp_path)
    installation.state.mkdir(mode=0o500)
    findings, _ = look_at_files(installation)
    assert [finding.code for finding in findings] == ["state-not-writable"]
    installation.state.chmod(0o700)

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.errors import ServiceError
from jmap_proxy.service.seal import is_untouched
from jmap_proxy.service.served import Served
from jmap_proxy.service.systemd import SystemdService

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.platform_programs import PlatformPrograms

SERVED = Served(argv=("/usr/bin/jmap-proxy", "serve"), writable=("/state",))
MOVED = Served(argv=("/opt/bin/jmap-proxy", "serve"), writable=("/state",))
ENABLE = "systemctl --user enable --now jmap-proxy.service"
RESTART = "systemctl --user restart jmap-proxy.service"


@pytest.fixture
def service(tmp_path: Path) -> SystemdService:
    """A service whose unit is to be in a folder that is not there yet."""
    return SystemdService(tmp_path / "config" / "systemd" / "user" / "jmap-proxy.service")


def is_running(programs: PlatformPrograms, *, running: bool) -> None:
    """Let the manager say so."""
    programs.answer("systemctl", "is-active", code=0 if running else 3)


def test_it_is_written_and_started(service: SystemdService, programs: PlatformPrograms) -> None:
    """In this order; whoever's sessions end is told of lingering."""
    is_running(programs, running=False)
    done = service.install(SERVED, force=False)
    assert "ExecStart=/usr/bin/jmap-proxy serve\n" in service.path.read_text()
    assert is_untouched(service.path.read_text())
    assert service.path.stat().st_mode & 0o777 == 0o644
    calls = programs.calls
    assert calls[-3:-1] == ["systemctl --user daemon-reload", ENABLE]
    assert calls[-1].startswith("loginctl show-user")
    assert RESTART not in calls
    assert "is running" in done[0]
    assert "loginctl enable-linger" in done[1]


def test_again_it_changes_nothing(service: SystemdService, programs: PlatformPrograms) -> None:
    """The same file stays, and what runs is not restarted; one with another text is."""
    service.install(SERVED, force=False)
    before = service.path.stat()
    programs.answer("loginctl", "show-user", out="yes\n")
    assert programs.calls
    assert len(service.install(SERVED, force=False)) == 1
    assert service.path.stat() == before
    assert RESTART not in programs.calls
    service.install(MOVED, force=False)
    assert "/opt/bin/jmap-proxy" in service.path.read_text()
    assert programs.calls[-2] == RESTART


def test_somebody_elses_unit_is_left(service: SystemdService, programs: PlatformPrograms) -> None:
    """One written by hand, one that was changed, one that is masked; unless it is forced."""
    service.path.parent.mkdir(parents=True)
    service.path.write_text("[Service]\nExecStart=/bin/mine\n")
    with pytest.raises(ServiceError, match="left as it is"):
        service.install(SERVED, force=False)
    with pytest.raises(ServiceError, match="left as it is"):
        service.uninstall(force=False)
    assert service.path.read_text() == "[Service]\nExecStart=/bin/mine\n"
    assert ENABLE not in programs.calls
    service.install(SERVED, force=True)
    service.path.write_text(service.path.read_text() + "# mine\n")
    with pytest.raises(ServiceError, match="left as it is"):
        service.install(MOVED, force=False)
    service.path.unlink()
    service.path.symlink_to("/dev/null")
    with pytest.raises(ServiceError, match="left as it is"):
        service.install(SERVED, force=False)
    service.install(SERVED, force=True)
    assert not service.path.is_symlink()


def test_without_a_manager_nothing_is_written(service: SystemdService, programs: PlatformPrograms) -> None:
    """It is told what to do instead, also where there is no systemctl at all."""
    programs.answer("systemctl", "show", err="Failed to connect to bus: No medium found\n", code=1)
    with pytest.raises(ServiceError, match="Failed to connect to bus") as caught:
        service.install(SERVED, force=False)
    assert "machinectl shell" in caught.value.hint
    assert "jmap-proxy serve" in caught.value.hint
    assert not service.path.parent.exists()


def test_without_systemd(service: SystemdService, programs: PlatformPrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, with the program's name."""
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(ServiceError, match=r"no systemd user manager: systemctl: "):
        service.install(SERVED, force=False)
    assert programs.calls == []


@pytest.mark.parametrize(
    ("word", "mend"),
    [("daemon-reload", "daemon-reload"), ("enable", "journalctl --user -u jmap-proxy"), ("restart", "journalctl")],
)
def test_a_step_that_fails_is_told(service: SystemdService, programs: PlatformPrograms, word: str, mend: str) -> None:
    """With its words and its mend; done again when that is mended, all is well."""
    programs.answer("systemctl", word, err=f"cannot {word}\n", code=1)
    with pytest.raises(ServiceError, match=f"cannot {word}") as caught:
        service.install(SERVED, force=False)
    assert mend in caught.value.hint
    programs.do_well("systemctl", word)
    service.install(SERVED, force=False)
    assert ENABLE in programs.calls


def test_it_is_stopped_and_removed(service: SystemdService, programs: PlatformPrograms) -> None:
    """In this order; again there is nothing to do."""
    service.install(SERVED, force=False)
    assert programs.calls
    assert "is stopped" in service.uninstall(force=False)[0]
    assert not service.path.exists()
    assert programs.calls[-2:] == [
        "systemctl --user disable --now jmap-proxy.service",
        "systemctl --user daemon-reload",
    ]
    assert "nothing is to be done" in service.uninstall(force=False)[0]
    assert programs.calls == []


def test_what_does_not_stop_is_not_removed(service: SystemdService, programs: PlatformPrograms) -> None:
    """Its file is what it can be stopped by."""
    service.install(SERVED, force=False)
    programs.answer("systemctl", "disable", err="timed out", code=1)
    with pytest.raises(ServiceError, match="timed out") as caught:
        service.uninstall(force=False)
    assert "systemctl --user kill" in caught.value.hint
    assert service.path.exists()


def test_without_a_manager_it_is_removed_all_the_same(service: SystemdService, programs: PlatformPrograms) -> None:
    """Nothing can be running; the link that starts it goes, too."""
    service.install(SERVED, force=False)
    link = service.path.parent / "default.target.wants" / "jmap-proxy.service"
    link.parent.mkdir()
    link.symlink_to(service.path)
    programs.answer("systemctl", "show", code=1)
    assert "no user manager" in service.uninstall(force=False)[0]
    assert not link.is_symlink()
    assert not service.path.exists()


def test_its_state(service: SystemdService, programs: PlatformPrograms) -> None:
    """As the manager tells it, and whether the file is ours."""
    assert not service.state().installed
    service.install(SERVED, force=False)
    told = "LoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=5\n"
    programs.answer("systemctl", "show", out=f"{told}StatusText=listening on http://127.0.0.1:8620\n")
    state = service.state()
    assert (state.installed, state.untouched, state.running, state.starts_by_itself) == (True, True, True, True)
    assert state.told == "listening on http://127.0.0.1:8620"
    programs.answer("systemctl", "show", out="LoadState=loaded\nActiveState=failed\nSubState=failed\nStatusText=\n")
    state = service.state()
    assert (state.running, state.starts_by_itself, state.told) == (False, False, "failed/failed")


def test_its_state_without_a_manager(service: SystemdService, programs: PlatformPrograms) -> None:
    """Why nothing more is known is told. A unit of the whole machine is seen by the manager alone."""
    service.install(SERVED, force=False)
    programs.answer("systemctl", "show", err="no bus", code=1)
    state = service.state()
    assert (state.installed, state.running, state.trouble) == (True, False, "no bus")
    service.path.unlink()
    programs.answer("systemctl", "show", out="LoadState=loaded\nActiveState=active\nno such line\n")
    state = service.state()
    assert (state.installed, state.untouched, state.running) == (True, False, True)

from __future__ import annotations

import plistlib
import shlex
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.errors import ServiceError
from jmap_proxy.service.launchd import NOT_LOADED, LaunchdService
from jmap_proxy.service.seal import is_untouched
from jmap_proxy.service.served import Served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.platform_programs import PlatformPrograms

SERVED = Served(argv=("/usr/bin/jmap-proxy", "serve"), writable=("/state",), log="/logs/jmap-proxy.log")
MOVED = Served(argv=("/opt/bin/jmap-proxy", "serve"), writable=("/state",), log="/logs/jmap-proxy.log")


@pytest.fixture
def service(tmp_path: Path, programs: PlatformPrograms) -> LaunchdService:
    """A service that launchd does not know yet."""
    not_loaded(programs)
    return LaunchdService(tmp_path / "Library" / "LaunchAgents" / "jmap-proxy.plist", 501)


def not_loaded(programs: PlatformPrograms) -> None:
    """Let launchd not know the service."""
    programs.answer("launchctl", "print", err="Could not find service", code=NOT_LOADED)


def loaded(programs: PlatformPrograms) -> None:
    """Let launchd run the service, until it is told to end it."""
    programs.answer("launchctl", "print", out="gui/501/jmap-proxy = {\n\tactive count = 1\n\tstate = running\n}\n")
    end = "printf 'Could not find service' >&2; exit 113"
    programs.script(
        "launchctl", "bootout", f"echo {shlex.quote(end)} >{shlex.quote(str(programs.file('launchctl', 'print')))}"
    )


def test_it_is_written_and_started(service: LaunchdService, programs: PlatformPrograms) -> None:
    """Enabled first, since one that was disabled once cannot be loaded."""
    done = service.install(SERVED, force=False)
    assert plistlib.loads(service.path.read_bytes())["ProgramArguments"] == ["/usr/bin/jmap-proxy", "serve"]
    assert is_untouched(service.path.read_text())
    assert service.path.stat().st_mode & 0o777 == 0o644
    assert programs.calls[-2:] == [
        "launchctl enable gui/501/jmap-proxy",
        f"launchctl bootstrap gui/501 {service.path}",
    ]
    assert "/logs/jmap-proxy.log" in done[-1]


def test_again_it_changes_nothing(service: LaunchdService, programs: PlatformPrograms) -> None:
    """What runs with the same text goes on; with another text it is replaced."""
    service.install(SERVED, force=False)
    loaded(programs)
    assert programs.calls
    assert "as it should be" in service.install(SERVED, force=False)[0]
    assert programs.calls == ["launchctl print gui/501/jmap-proxy"]
    service.install(MOVED, force=False)
    assert "launchctl bootout gui/501/jmap-proxy" in programs.calls
    assert "/opt/bin/jmap-proxy" in service.path.read_text()


def test_somebody_elses_agent_is_left(service: LaunchdService, programs: PlatformPrograms) -> None:
    """Unless it is forced."""
    service.path.parent.mkdir(parents=True)
    service.path.write_text("mine")
    with pytest.raises(ServiceError, match="left as it is"):
        service.install(SERVED, force=False)
    with pytest.raises(ServiceError, match="left as it is"):
        service.uninstall(force=False)
    assert service.path.read_text() == "mine"
    service.install(SERVED, force=True)
    assert is_untouched(service.path.read_text())
    assert programs.calls


@pytest.mark.parametrize(("word", "mend"), [("bootstrap", "/logs/jmap-proxy.log"), ("enable", "sign in at the screen")])
def test_a_step_that_fails_is_told(service: LaunchdService, programs: PlatformPrograms, word: str, mend: str) -> None:
    """With its words and its mend."""
    programs.answer("launchctl", word, err=f"cannot {word}", code=5)
    with pytest.raises(ServiceError, match=f"cannot {word}") as caught:
        service.install(SERVED, force=False)
    assert mend in caught.value.hint


def test_it_is_stopped_and_removed(service: LaunchdService, programs: PlatformPrograms) -> None:
    """What does not stop is not removed; again there is nothing to do."""
    service.install(SERVED, force=False)
    loaded(programs)
    programs.answer("launchctl", "bootout", err="busy", code=5)
    with pytest.raises(ServiceError, match="busy"):
        service.uninstall(force=False)
    assert service.path.exists()
    loaded(programs)
    assert "is stopped" in service.uninstall(force=False)[0]
    assert not service.path.exists()
    assert "nothing is to be done" in service.uninstall(force=False)[0]


def test_one_that_does_not_end_is_told(service: LaunchdService, programs: PlatformPrograms) -> None:
    """It is waited for, since launchctl returns before the end; its file stays."""
    service.install(SERVED, force=False)
    loaded(programs)
    programs.script("launchctl", "bootout", "")
    impatient = LaunchdService(service.path, 501, patience=0)
    with pytest.raises(ServiceError, match="does not end") as caught:
        impatient.uninstall(force=False)
    assert "launchctl kill KILL gui/501/jmap-proxy" in caught.value.hint
    assert service.path.exists()


def test_one_that_ends_later_is_waited_for(service: LaunchdService, programs: PlatformPrograms) -> None:
    """Then it is loaded anew."""
    service.install(SERVED, force=False)
    loaded(programs)
    programs.script("launchctl", "bootout", "")
    gone = shlex.quote(str(programs.file("launchctl", "print")))
    # the look before, one that still finds it, and one that does not
    programs.script("launchctl", "print", f"echo x >>{gone}.n; [ $(wc -l <{gone}.n) -gt 2 ] && exit 113")
    service.install(MOVED, force=False)
    prints = [call for call in programs.calls if " print " in call]
    assert len(prints) == 4
    assert "/opt/bin/jmap-proxy" in service.path.read_text()


def test_one_that_is_not_loaded_is_only_removed(service: LaunchdService, programs: PlatformPrograms) -> None:
    """There is nothing to stop."""
    service.install(SERVED, force=False)
    assert programs.calls
    service.uninstall(force=False)
    assert programs.calls == ["launchctl print gui/501/jmap-proxy"]


def test_its_state(service: LaunchdService, programs: PlatformPrograms) -> None:
    """As launchd tells it; where it cannot be asked, why."""
    state = service.state()
    assert (state.installed, state.running, state.trouble) == (False, False, "")
    service.install(SERVED, force=False)
    loaded(programs)
    state = service.state()
    assert (state.installed, state.untouched, state.running, state.starts_by_itself) == (True, True, True, True)
    programs.answer("launchctl", "print", out="gui/501/jmap-proxy = {}\n")
    assert not service.state().running
    programs.answer("launchctl", "print", err="not permitted", code=1)
    assert service.state().trouble == "not permitted"

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.cli.service import program, service_for
from jmap_proxy.doctor.surroundings import _units, look_at_service
from jmap_proxy.errors import ServiceError
from jmap_proxy.service.launchd import LaunchdService
from jmap_proxy.service.systemd import SystemdService
from tests.support.platform_programs import PlatformPrograms

if TYPE_CHECKING:
    from tests.support.program import Ended
    from tests.support.world import World

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the commands look at systemd here")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlatformPrograms:
    """The platform's programs, and a home folder with a blank in its name."""
    programs = PlatformPrograms(tmp_path / "programs")
    monkeypatch.setenv("PATH", f"{programs.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path / "ho me"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return programs


def unit_of(world: World) -> Path:
    """Where the unit is to be."""
    return world.folder / "ho me" / ".config" / "systemd" / "user" / "jmap-proxy.service"


async def service(world: World, *args: str) -> Ended:
    """Run `service` with a command of its own."""
    config = ("--config", str(world.config)) if args[0] == "install" else ()
    return await world.invoke("service", *args, *config, config=False)


async def test_it_runs_this_program_with_this_configuration(world: World, programs: PlatformPrograms) -> None:
    """And this state folder, which is made: a confined service could not."""
    ended = await service(world, "install")
    assert (ended.code, "is running" in ended.out) == (0, True)
    assert "loginctl enable-linger" in ended.err
    text = unit_of(world).read_text()
    assert f"ExecStart={program(Path(sys.executable))[0]} serve --config {world.config}\n" in text
    assert f"Environment=JMAP_PROXY_STATE={world.state}\n" in text
    assert f"ReadWritePaths={world.state}\n" in text
    assert world.state.stat().st_mode & 0o777 == 0o700
    assert "systemctl --user enable --now jmap-proxy.service" in programs.calls


async def test_the_doctor_finds_it(world: World, programs: PlatformPrograms) -> None:
    """It looks where this command writes."""
    home = {"HOME": str(world.folder / "ho me")}
    await service(world, "install")
    assert programs.calls
    assert unit_of(world) in set(_units(home))
    assert look_at_service(home)[0].code == "service"


async def test_a_socket_elsewhere_can_be_made(world: World, programs: PlatformPrograms) -> None:
    """Its folder is written to, too."""
    text = world.config.read_text()
    world.config.write_text(text.replace("[listen]", f'[listen]\nunix = "{world.folder}/run/p.sock"'))
    assert (await service(world, "install")).code == 0
    assert f"ReadWritePaths={world.state} {world.folder}/run\n" in unit_of(world).read_text()
    world.config.write_text(text.replace("[listen]", '[listen]\nunix = "p.sock"'))
    assert (await service(world, "install")).code == 0
    assert f"ReadWritePaths={world.state}\n" in unit_of(world).read_text()
    assert programs.calls


async def test_a_broken_configuration_is_not_installed(world: World, programs: PlatformPrograms) -> None:
    """It could not start."""
    world.config.write_text("[nonsense]")
    assert (await service(world, "install")).code == 78
    assert programs.calls == []
    assert not unit_of(world).exists()


async def test_somebody_elses_unit_is_left(world: World, programs: PlatformPrograms) -> None:
    """Exit code 69 and what to do; --force replaces it."""
    unit_of(world).parent.mkdir(parents=True)
    unit_of(world).write_text("mine")
    ended = await service(world, "install")
    assert (ended.code, ended.out) == (69, "")
    assert "hint: give --force" in ended.err
    assert unit_of(world).read_text() == "mine"
    assert (await service(world, "uninstall")).code == 69
    assert (await service(world, "install", "--force")).code == 0
    assert (await service(world, "uninstall")).code == 0
    assert not unit_of(world).exists()
    assert programs.calls


async def test_its_state_has_an_exit_code(world: World, programs: PlatformPrograms) -> None:
    """0 if it runs, else 3, as `systemctl status` does it."""
    programs.answer("systemctl", "show", out="LoadState=not-found\nActiveState=inactive\nSubState=dead\n")
    ended = await service(world, "status")
    assert ended.code == 3
    assert "run: jmap-proxy service install" in ended.out
    assert (await service(world, "install")).code == 0
    programs.answer("systemctl", "show", out="LoadState=loaded\nActiveState=active\nUnitFileState=enabled\n")
    ended = await service(world, "status")
    assert ended.code == 0
    assert "is running" in ended.out
    told = json.loads((await service(world, "status", "--json")).out)
    assert (told["running"], told["path"]) == (True, str(unit_of(world)))


def test_each_platform_has_its_own() -> None:
    """One that is not known is told what to do."""
    assert isinstance(service_for("linux", {"HOME": "/h"}, 5), SystemdService)
    assert isinstance(service_for("darwin", {"HOME": "/h"}, 5), LaunchdService)
    with pytest.raises(ServiceError, match="plan9") as caught:
        service_for("plan9", {"HOME": "/h"}, 5)
    assert "jmap-proxy serve" in caught.value.hint


def test_the_program_is_the_script_beside_the_interpreter(tmp_path: Path) -> None:
    """Else the package, and never one that lies in the working folder."""
    python = tmp_path / "python"
    assert program(python) == (str(python), "-P", "-m", "jmap_proxy")
    (tmp_path / "jmap-proxy").touch()
    assert program(python) == (str(tmp_path / "jmap-proxy"),)

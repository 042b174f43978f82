from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.doctor.finding import Level
from jmap_proxy.doctor.surroundings import look_at_hook, look_at_local_keys, look_at_service
from jmap_proxy.local_keys import FILE_NAME
from tests.doctor.making import ALICE, make_installation

if TYPE_CHECKING:
    from pathlib import Path


def test_a_hook_is_looked_for_as_it_will_be(tmp_path: Path) -> None:
    """By name on PATH."""
    hook = tmp_path / "notify"
    hook.touch(mode=0o700)
    installation = make_installation(
        tmp_path, f'[hooks]\non_sign_in_needed = ["notify"]\n{ALICE}', environment={"PATH": str(tmp_path)}
    )
    assert look_at_hook(installation)[0].level is Level.OK
    hook.chmod(0o600)
    assert look_at_hook(installation)[0].code == "hook-not-executable"


def test_a_service_is_looked_for_where_each_platform_has_it(tmp_path: Path) -> None:
    """User units of systemd, also with XDG_CONFIG_HOME, and launchd's agents."""
    home, config = tmp_path / "home", tmp_path / "config"
    agents, units, more = (
        home / "Library" / "LaunchAgents",
        home / ".config" / "systemd" / "user",
        config / "systemd" / "user",
    )
    environment = {"HOME": str(home)}
    assert look_at_service(environment)[0].code == look_at_service({})[0].code == "service-absent"
    for folder, name in ((units, "jmap-proxy.service"), (agents, "org.example.jmap-proxy.plist")):
        folder.mkdir(parents=True)
        (folder / name).touch()
        assert look_at_service(environment)[0].level is Level.OK
        (folder / name).unlink()
    more.mkdir(parents=True)
    (more / "jmap-proxy.service").touch()
    assert look_at_service({**environment, "XDG_CONFIG_HOME": str(config)})[0].level is Level.OK


def test_an_account_that_needs_no_key_lacks_none(tmp_path: Path) -> None:
    """Nor does one whose sign-in is to come, which makes the key."""
    open_account = make_installation(tmp_path, f'{ALICE}local_auth = "none"\n')
    assert look_at_local_keys(open_account, frozenset(), frozenset({"alice"})) == []
    assert look_at_local_keys(make_installation(tmp_path), frozenset(), frozenset()) == []


def test_a_key_file_that_is_wrong_has_been_told(tmp_path: Path) -> None:
    """Nothing more is said."""
    installation = make_installation(tmp_path)
    assert look_at_local_keys(installation, frozenset({installation.state / FILE_NAME}), frozenset({"alice"})) == []

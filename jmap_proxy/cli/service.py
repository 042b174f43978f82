"""`jmap-proxy service`: let the platform start the proxy by itself (systemd user unit, launchd agent)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from jmap_proxy import files
from jmap_proxy.cli.options import with_config_file
from jmap_proxy.cli.running import unix_path
from jmap_proxy.config import Config, load_config
from jmap_proxy.errors import ServiceError
from jmap_proxy.paths import STATE_VARIABLE, state_folder
from jmap_proxy.service.launchd import LaunchdService
from jmap_proxy.service.places import agent_file, log_file, unit_file
from jmap_proxy.service.served import Served
from jmap_proxy.service.systemd import SystemdService

if TYPE_CHECKING:
    from collections.abc import Mapping

PASSED_ON = ("PYTHON_KEYRING_BACKEND", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What a shell may tell the proxy, and a service would not."""

NOT_RUNNING = 3
"""As `systemctl status` says it (LSB)."""

forced = click.option("--force", is_flag=True, help="Even if somebody else wrote or changed the file.")


@click.group(short_help="Let the platform start the proxy by itself.")
def service() -> None:
    """Let the platform start the proxy by itself: systemd's user manager, or launchd."""


@service.command(short_help="Write the unit or agent, and start it.")
@forced
@with_config_file
def install(config_file: Path, *, force: bool) -> None:
    """Write the unit or agent, and start it now and with each session. Run again, it takes up what has changed."""
    config = load_config(config_file)
    _tell(_service().install(_served(config, config_file), force=force))


@service.command()
@forced
def uninstall(*, force: bool) -> None:
    """Stop the service, and remove its file. Accounts and tokens stay."""
    _tell(_service().uninstall(force=force))


@service.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_status(*, as_json: bool) -> None:
    """Tell how the service is doing. The exit code is 0 if it runs, else 3."""
    state = _service().state()
    click.echo(msgspec.json.encode(state).decode() if as_json else "\n".join(state.lines()))
    sys.exit(0 if state.running else NOT_RUNNING)


def _service() -> SystemdService | LaunchdService:
    return service_for(sys.platform, os.environ, os.geteuid())


def service_for(platform: str, environment: Mapping[str, str], user: int) -> SystemdService | LaunchdService:
    """What starts programs on this platform. Raises ServiceError where that is not known."""
    if platform == "linux":
        return SystemdService(unit_file(environment))
    if platform == "darwin":
        return LaunchdService(agent_file(environment), user)
    raise ServiceError(
        f"it is not known what starts programs on {platform}",
        hint="let what starts programs there run: jmap-proxy serve",
    )


def _served(config: Config, config_file: Path) -> Served:
    """What the service is to run; its state folder is made, since a confined service cannot."""
    state = files.own_folder(state_folder(os.environ).absolute())
    unix = unix_path(state, config.listen.unix)
    folders = [state, *([unix.parent] if unix is not None and not unix.is_relative_to(state) else [])]
    told = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    return Served(
        argv=(*program(Path(sys.executable)), "serve", "--config", str(config_file.absolute())),
        writable=tuple(map(str, folders)),
        environment={STATE_VARIABLE: str(state), **told},
        log=str(log_file(os.environ)),
    )


def program(python: Path) -> tuple[str, ...]:
    """This program as this interpreter runs it: the script beside it, or the package."""
    script = python.with_name("jmap-proxy")
    return (str(script),) if script.exists() else (str(python), "-P", "-m", "jmap_proxy")


def _tell(lines: list[str]) -> None:
    for line in lines:
        click.echo(line, err=line.startswith("note: "))

"""`jmap-proxy serve`: the proxy, for all accounts."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
from typing import TYPE_CHECKING

import click

from jmap_proxy.activation import inherited_sockets
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.collector import leave_out_what_stays
from jmap_proxy.cli.liveness import answers
from jmap_proxy.cli.options import run, with_config_file, with_log_level
from jmap_proxy.cli.reloading import Reloading, identity_of
from jmap_proxy.cli.running import reload_signal, reloadable_proxy, stop_signals
from jmap_proxy.cli.workers.option import with_workers
from jmap_proxy.cli.workers.supervising import role_of
from jmap_proxy.config import load_config
from jmap_proxy.errors import ConfigError
from jmap_proxy.sd_notify import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jmap_proxy.cli.role import Role
    from jmap_proxy.cli.running import Addresses, RunningProxy
    from jmap_proxy.config import Config
    from jmap_proxy.status.traffic import Traffic

MOST_FILES = 65_536
"""Open files, at most; far more than connections are let in."""


@click.command()
@with_config_file
@with_log_level("info")
@with_workers
def serve(config_file: Path, workers: int) -> None:
    """Run the proxy, for all accounts, until SIGINT or SIGTERM. SIGHUP and a changed file reload the configuration."""
    taken = identity_of(config_file)  # before it is read, so that no later change is overlooked
    load = functools.partial(_load, config_file)
    config = load()
    _raise_file_limit()
    logging = click.get_current_context().params
    make_role = functools.partial(role_of, workers, logging["log_level"], logging["log_format"])
    run(_serve(config, functools.partial(Reloading, config_file, load, taken=taken), make_role))


def _load(path: Path) -> Config:
    config = load_config(path)
    if not config.accounts:
        raise ConfigError("the configuration has no accounts", hint="add a section [accounts.NAME]")
    return config


async def _serve(config: Config, reloading: Callable[..., Reloading], make_role: Callable[[Traffic], Role]) -> None:
    stopped, told = stop_signals(), reload_signal()
    inherited = inherited_sockets(os.environ, os.getpid(), config.accounts)
    manager = ServiceManager(os.environ, os.getpid())
    assembly = Assembly(config)
    role = make_role(assembly.traffic)
    async with assembly, reloadable_proxy(assembly, inherited, role) as proxy:
        _tell(proxy.addresses)
        manager.ready(_status(proxy))
        leave_out_what_stays()
        watching = asyncio.create_task(manager.watch(functools.partial(_is_well, manager, proxy, role, stopped)))
        during = functools.partial(manager.reloading, functools.partial(_status, proxy))
        follower = reloading(take_up=proxy.take_up, told=told, during=during)
        following = asyncio.create_task(follower.run(), name="configuration")
        await stopped.wait()
        following.cancel()
        await asyncio.wait([following])
        manager.stopping()
    watching.cancel()  # only now: requests in flight may take longer to finish than the watchdog waits
    await asyncio.wait([watching])


async def _is_well(manager: ServiceManager, proxy: RunningProxy, role: Role, stopped: asyncio.Event) -> bool:
    """Whether it answers; when it has been told to stop, it need not."""
    patience = (manager.watchdog_interval or 0.0) / 2
    return stopped.is_set() or (role.is_well and await answers(proxy.addresses, patience))


def _status(proxy: RunningProxy) -> str:
    """What the service manager shows."""
    at = proxy.addresses
    return f"serving at {', '.join(filter(None, (at.http, at.https, at.unix, *at.own.values())))}"


def _tell(addresses: Addresses) -> None:
    for address in filter(None, (addresses.http, addresses.https)):
        click.echo(f"listening on {address}")
    if addresses.admin:
        click.echo(f"admin on {addresses.admin}")
    if addresses.unix:
        click.echo(f"unix socket {addresses.unix}")
    for name, address in addresses.own.items():
        click.echo(f"account {name} alone on {address}")


def _raise_file_limit() -> None:
    """Each connection is an open file, and the usual 1,024 are soon used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = file_limit(soft, hard)
    if wanted is not None:
        with contextlib.suppress(OSError, ValueError):  # macOS: what is told to be possible is not always
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def file_limit(soft: int, hard: int) -> int | None:
    """How many files may be open, None to leave it as it is. Pure."""
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    return None if soft == resource.RLIM_INFINITY or soft >= wanted else wanted

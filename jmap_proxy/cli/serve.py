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
from jmap_proxy.cli.liveness import answers
from jmap_proxy.cli.options import run, with_config_file, with_log_level
from jmap_proxy.cli.reloading import Reloading, identity_of
from jmap_proxy.cli.running import reload_signal, reloadable_proxy, stop_signals
from jmap_proxy.config import load_config
from jmap_proxy.errors import ConfigError
from jmap_proxy.sd_notify import ServiceManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from jmap_proxy.cli.running import Addresses, RunningProxy
    from jmap_proxy.config import Config

MOST_FILES = 65_536
"""Open files, at most; far more than connections are let in."""


@click.command()
@with_config_file
@with_log_level("info")
def serve(config_file: Path) -> None:
    """Run the proxy, for all accounts, until SIGINT or SIGTERM. SIGHUP and a changed file reload the configuration."""
    taken = identity_of(config_file)  # before it is read, so that no later change is overlooked
    load = functools.partial(_load, config_file)
    config = load()
    _raise_file_limit()
    run(_serve(config, functools.partial(Reloading, config_file, load, taken=taken)))


def _load(path: Path) -> Config:
    config = load_config(path)
    if not config.accounts:
        raise ConfigError("the configuration has no accounts", hint="add a section [accounts.NAME]")
    return config


async def _serve(config: Config, reloading: Callable[..., Reloading]) -> None:
    stopped, told = stop_signals(), reload_signal()
    inherited = inherited_sockets(os.environ, os.getpid(), config.accounts)
    manager = ServiceManager(os.environ, os.getpid())
    async with Assembly(config) as assembly, reloadable_proxy(assembly, inherited) as proxy:
        _tell(proxy.addresses)
        manager.ready(_status(proxy))
        watching = asyncio.create_task(manager.watch(functools.partial(_is_well, manager, proxy, stopped)))
        during = functools.partial(manager.reloading, functools.partial(_status, proxy))
        follower = reloading(take_up=proxy.take_up, told=told, during=during)
        following = asyncio.create_task(follower.run(), name="configuration")
        await stopped.wait()
        following.cancel()
        await asyncio.wait([following])
        manager.stopping()
    watching.cancel()  # only now: requests in flight may take longer to finish than the watchdog waits
    await asyncio.wait([watching])


async def _is_well(manager: ServiceManager, proxy: RunningProxy, stopped: asyncio.Event) -> bool:
    """Whether it answers; when it has been told to stop, it need not."""
    return stopped.is_set() or await answers(proxy.addresses, (manager.watchdog_interval or 0.0) / 2)


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

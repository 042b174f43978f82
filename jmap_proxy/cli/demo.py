"""`jmap-proxy demo`: sandbox provider, sandbox mail server and the proxy on loopback, signed in."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.options import run, with_log_level
from jmap_proxy.cli.running import running_proxy, stop_signals
from jmap_proxy.cli.signing_in import SignedIn, sign_in_and_save
from jmap_proxy.config import Account, Config, Listen
from jmap_proxy.proxy.session.endpoint import local_prefix
from jmap_proxy.sandbox import IdentityProvider, MailServer, ProviderSettings, browse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "demo"


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo, as `--json` tells it."""

    session_url: str
    username: str
    password: str
    admin_url: str
    issuer: str
    upstream_session_url: str

    def as_json(self) -> str:
        """One line."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


@click.command(short_help="Run the whole chain on this machine, signed in.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
@click.option(
    "--token-life",
    metavar="SECONDS",
    type=click.FloatRange(1),
    default=60.0,
    show_default=True,
    help="How long a token lives; at least 1.",
)
@with_log_level("error")
def demo(*, as_json: bool, token_life: float) -> None:
    """Run the whole chain on this machine, signed in, without touching your configuration."""
    run(_demo(as_json=as_json, token_life=token_life))


async def _demo(*, as_json: bool, token_life: float) -> None:
    stopped = stop_signals()
    async with running_demo(token_life) as (told, api_url, account_id):
        if as_json:
            click.echo(told.as_json())
        else:
            click.echo(_welcome(told, api_url, account_id, token_life))
        await stopped.wait()


@asynccontextmanager
async def running_demo(token_life: float) -> AsyncIterator[tuple[Demo, str, str]]:
    """The demo while it runs: what to tell, the local API URL and the mail account's id."""
    with tempfile.TemporaryDirectory(prefix="jmap-proxy-demo-") as folder:
        async with (
            IdentityProvider(settings=ProviderSettings(access_token_life=token_life)) as provider,
            MailServer(provider.check) as mail,
        ):
            config = _config(provider, mail)
            async with Assembly(config, Path(folder) / "state") as assembly:
                signed_in = await _sign_in_by_robot(assembly)
                async with running_proxy(assembly) as addresses:
                    yield (
                        Demo(
                            session_url=f"{addresses.http}/.well-known/jmap",
                            username=signed_in.username,
                            password=signed_in.local_key,
                            admin_url=addresses.admin,
                            issuer=provider.issuer,
                            upstream_session_url=mail.session_url,
                        ),
                        f"{addresses.http}/{local_prefix(config.accounts[NAME].server_origin)}/jmap/api",
                        signed_in.account_id,
                    )


async def _sign_in_by_robot(assembly: Assembly) -> SignedIn:
    visits: list[asyncio.Task[Any]] = []
    signed_in = await sign_in_and_save(assembly, NAME, lambda url: visits.append(asyncio.create_task(browse(url))))
    await asyncio.gather(*visits)
    return signed_in


def _config(provider: IdentityProvider, mail: MailServer) -> Config:
    account = Account(server=mail.base_url, issuer=provider.issuer, client_id=provider.settings.client_id)
    return Config(listen=Listen(http="127.0.0.1:0", admin="127.0.0.1:0"), accounts={NAME: account})


def _welcome(told: Demo, api_url: str, account_id: str, token_life: float) -> str:
    return f"""\
The proxy is running, signed in. Point any JMAP client here:

  Session URL  {told.session_url}
  user name    {told.username}
  password     {told.password}

Or paste this to list mail:

{_paste_line(told, api_url, account_id)}

Behind it, a provider ({told.issuer}) gives tokens that live {token_life:g} s, and a mail server
({told.upstream_session_url}) takes nothing else.
Status page: {told.admin_url}/ - Ctrl-C ends all."""


def _paste_line(told: Demo, api_url: str, account_id: str) -> str:
    """A line for the shell that lists the latest mail: with curl where there is one, else with this Python."""
    found = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
    wanted = {"accountId": account_id, "#ids": found, "properties": ["from", "subject"]}
    request = {
        "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
        "methodCalls": [
            ["Email/query", {"accountId": account_id, "limit": 5}, "q"],
            ["Email/get", wanted, "g"],
        ],
    }
    body = json.dumps(request, separators=(",", ":"))
    if shutil.which("curl"):
        login = shlex.quote(f"{told.username}:{told.password}")
        return f"curl -s -u {login} -H 'Content-Type: application/json' -d {shlex.quote(body)} {api_url}"
    code = (
        f"import urllib.request as u; print(u.urlopen(u.Request({api_url!r}, {body.encode()!r}, "
        f"{{'Content-Type': 'application/json', 'Authorization': 'Bearer {told.password}'}})).read().decode())"
    )
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"

"""What the program works with: a provider, a mail server, a configuration for both, and ways to run commands there.

A command's own life as a process belongs to `program`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import signal
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest import mock

import msgspec

from jmap_proxy.cli import main
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.signing_in import SignedIn, sign_in_and_save
from jmap_proxy.config import load_config
from jmap_proxy.sandbox import IdentityProvider, MailServer
from tests.support.ports import free_port
from tests.support.program import Ended, Program
from tests.support.robot import RobotBrowser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jmap_proxy.tokens.tokenset import TokenSet

NAME = "alice"


def basic(key: str) -> dict[str, str]:
    """The header fields of a mail client whose password is this key."""
    return {"Authorization": "Basic " + base64.b64encode(f"any:{key}".encode()).decode()}


@dataclass
class World:
    """A provider, a mail server, and a configuration with the account `alice` there."""

    folder: Path
    idp: IdentityProvider
    mail: MailServer
    admin_port: int = field(default_factory=free_port)
    programs: list[Program] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.write_config()

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "config.toml"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def token_file(self) -> Path:
        """Where alice's tokens are."""
        return self.state / "tokens" / f"{NAME}.jwe"

    @property
    def env(self) -> dict[str, str]:
        """What a command is told by the environment; a browser and the desktop's keyring would fail."""
        return {
            "JMAP_PROXY_STATE": str(self.state),
            "BROWSER": "false",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }

    def write_config(self, *lines: str) -> None:
        """Write the configuration; the lines are added to the account."""
        self.config.write_text(
            "\n".join(
                [
                    "[listen]",
                    'http = "127.0.0.1:0"',
                    f'admin = "127.0.0.1:{self.admin_port}"',
                    f"[accounts.{NAME}]",
                    f'server = "{self.mail.base_url}"',
                    f'issuer = "{self.idp.issuer}"',
                    'client_id = "jmap-proxy"',
                    *lines,
                ]
            )
        )

    def assembly(self) -> Assembly:
        """The parts, as the commands put them together."""
        return Assembly(load_config(self.config), self.state)

    async def stored(self) -> TokenSet:
        """Alice's stored tokens."""
        tokens = await self.assembly().store(NAME).load()
        assert tokens is not None
        return tokens

    async def age(self, seconds: float) -> None:
        """Make the stored tokens older than they are."""
        tokens = await self.stored()
        older = {name: getattr(tokens, name) - seconds for name in ("obtained_at", "expires_at")}
        await self.assembly().store(NAME).save(msgspec.structs.replace(tokens, **older))

    async def sign_in(self) -> SignedIn:
        """Sign alice in."""
        browser = RobotBrowser()
        async with self.assembly() as assembly:
            signed_in = await sign_in_and_save(assembly, NAME, browser.open)
            await browser.pages()
        return signed_in

    async def start(self, command: str, *args: str, **env: str) -> Program:
        """Start a command as a process."""
        where = () if command == "demo" else ("--config", str(self.config))
        program = await Program.start(command, *where, *args, env={**self.env, **env})
        self.programs.append(program)
        return program

    async def serve(self, *args: str) -> tuple[Program, str]:
        """Start `serve`; the program and its origin."""
        program = await self.start("serve", *args)
        origin = (await program.line()).removeprefix("listening on ")
        assert await program.line() == f"admin on http://127.0.0.1:{self.admin_port}"
        return program, origin

    async def invoke(self, *args: str, config: bool = True) -> Ended:
        """Run a command in this process, in a thread beside the servers."""
        argv = ["jmap-proxy", args[0], *(("--config", str(self.config)) if config else ()), *args[1:]]
        with mock.patch.dict(os.environ, self.env), mock.patch.object(sys, "argv", argv):
            return await asyncio.to_thread(_run_main)


@contextlib.asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    """A world that lasts as long as the context; programs that still run are killed."""
    async with IdentityProvider() as idp, MailServer(idp.check) as mail:
        world = World(folder, idp, mail)
        try:
            yield world
        finally:
            for program in world.programs:
                if program.runs:
                    await program.end(signal.SIGKILL)


def _run_main() -> Ended:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as error:
            code = int(error.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())

"""What the command line's tests share: a provider, a mail server, a configuration, and ways to run commands."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import signal
import socket
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from unittest import mock

import msgspec

from jmap_proxy.cli import main
from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.signing_in import SignedIn, sign_in_and_save
from jmap_proxy.config import load_config
from jmap_proxy.sandbox import IdentityProvider, MailServer, browse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from jmap_proxy.tokens.tokenset import TokenSet

NAME = "alice"
TIME_LIMIT = 20
"""Seconds after which a test gives up on a program."""


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def basic(key: str) -> dict[str, str]:
    """The header fields of a mail client whose password is this key."""
    return {"Authorization": "Basic " + base64.b64encode(f"any:{key}".encode()).decode()}


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Program:
    """A command that runs as a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.out: list[str] = []
        self._stdout = process.stdout
        self._said = asyncio.create_task(process.stderr.read())

    @classmethod
    async def start(cls, *args: str, env: Mapping[str, str]) -> Self:
        """Start `python -m jmap_proxy` with these arguments."""
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "jmap_proxy",
                *args,
                env={**os.environ, **env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )

    async def line(self) -> str:
        """The next line of stdout."""
        async with asyncio.timeout(TIME_LIMIT):
            line = (await self._stdout.readline()).decode()
        self.out.append(line)
        if not line:
            raise AssertionError(f"it ended: {(await self.end()).err}")
        return line.rstrip("\n")

    async def end(self, *signals: signal.Signals) -> Ended:
        """Send signals and wait for the end."""
        for number in signals:
            self.process.send_signal(number)
        async with asyncio.timeout(TIME_LIMIT):
            self.out.append((await self._stdout.read()).decode())
            err = (await self._said).decode()
            return Ended(await self.process.wait(), "".join(self.out), err)


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
        """What a command is told by the environment; a browser would fail."""
        return {"JMAP_PROXY_STATE": str(self.state), "BROWSER": "false"}

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
        visits: list[asyncio.Task[tuple[int, str]]] = []
        async with self.assembly() as assembly:
            signed_in = await sign_in_and_save(
                assembly, NAME, lambda url: visits.append(asyncio.create_task(browse(url)))
            )
            await asyncio.gather(*visits)
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
                if program.process.returncode is None:
                    await program.end(signal.SIGKILL)


def _run_main() -> Ended:
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as error:
            code = int(error.code or 0)
    return Ended(code, out.getvalue(), err.getvalue())

"""One account at the real provider: its files, and the proxy that serves it, here or as a process of its own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.running import running_proxy
from jmap_proxy.cli.signing_in import sign_in_and_save
from jmap_proxy.config import load_config
from tests.e2e.browser import Browser
from tests.support.program import Ended, Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from jmap_proxy.sandbox import MailServer
    from jmap_proxy.tokens.tokenset import TokenSet
    from tests.e2e.fronted_provider import FrontedProvider
    from tests.e2e.lossy import Lossy

NAME = "alice"
PATIENCE = aiohttp.ClientTimeout(total=5)
"""Seconds after which real clients give up (measured: mujmap, himalaya)."""


@dataclass
class Served:
    """A proxy that serves the account.

    Attributes:
        origin: Where clients come in.
        admin: Where its health is told.
        client: Has the local key.
        program: The process, None if it is this one.
        told: The last problem that the client got.
    """

    origin: str
    admin: str
    client: aiohttp.ClientSession
    program: Program | None = None
    told: str = ""

    async def ask(self) -> str:
        """What a client gets for a request: the status, Retry-After if there is one, the error's code."""
        async with self.client.get(f"{self.origin}/.well-known/jmap") as response:
            answer = await response.json(content_type=None)
            if response.status == 200:
                return "200"
            self.told = answer["detail"]
            again = " + Retry-After" if "Retry-After" in response.headers else ""
            return f"{response.status}{again} ({answer['type'].removeprefix('urn:jmap-proxy:error:')})"

    async def ask_while(self, expected: str, until: Callable[[], bool] = lambda: False) -> str:
        """Asks as long as it gets what is expected, and `until` does not hold; what it got last."""
        async with asyncio.timeout(30):
            while True:
                seen = await self.ask()
                if seen != expected or until():
                    return seen
                await asyncio.sleep(0.02)  # a client, not a flood

    async def health(self) -> dict[str, Any]:
        """What /readyz tells of the account."""
        async with self.client.get(f"{self.admin}/readyz") as response:
            told: dict[str, Any] = (await response.json())["accounts"][NAME]
            return told

    async def stop(self) -> None:
        """Ends the process as an operator does."""
        assert self.program is not None
        self.program.process.terminate()
        ended = await self.program.end()
        assert ended.code == 0, ended.err


class Life:
    """The account, and what it lives between.

    Args:
        folder: For the configuration and the state.
        provider: The OpenID Provider.
        front: In front of it.
        mail: A mail server that asks the provider about each token.
    """

    def __init__(self, folder: Path, provider: FrontedProvider, front: Lossy, mail: MailServer) -> None:
        self.provider = provider
        self.front = front
        self.mail = mail
        self.state = folder / "state"
        self.secret = folder / "client-secret"
        self.key = ""
        self._config = folder / "config.toml"
        self._programs: list[Program] = []
        self.configure()

    def configure(self, *lines: str, client_id: str = "jmap-native") -> None:
        """Writes the configuration; the lines are added to the account."""
        self._config.write_text(
            "\n".join(
                [
                    "[store]",
                    'key = "file"',
                    "[listen]",
                    'http = "127.0.0.1:0"',
                    'admin = "127.0.0.1:0"',
                    f"[accounts.{NAME}]",
                    f'server = "{self.mail.base_url}"',
                    f'issuer = "{self.provider.issuer}"',
                    f'client_id = "{client_id}"',
                    *lines,
                ]
            )
        )

    async def sign_in(self) -> TokenSet:
        """Signs in with a browser without a person; the stored tokens."""
        visits: list[asyncio.Task[str]] = []

        def open_browser(url: str) -> None:
            visits.append(asyncio.create_task(asyncio.to_thread(Browser().visit, url)))

        async with self._assembly() as assembly:
            signed_in = await sign_in_and_save(assembly, NAME, open_browser)
            await asyncio.gather(*visits)
        self.key = signed_in.local_key or self.key
        return await self.stored()

    async def stored(self) -> TokenSet:
        """The stored tokens."""
        tokens = await self._assembly().store(NAME).load()
        assert tokens is not None
        return tokens

    @asynccontextmanager
    async def served_here(self, clock: Callable[[], float]) -> AsyncIterator[Served]:
        """The proxy in this process, with a clock that the test sets."""
        async with (
            self._assembly(clock) as assembly,
            running_proxy(assembly) as addresses,
            self._client() as client,
        ):
            yield Served(addresses.http, addresses.admin, client)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[Served]:
        """The proxy as a process of its own; killed in the end if it has not been stopped."""
        program = await self.start("serve")
        origin = (await program.line()).removeprefix("listening on ")
        admin = (await program.line()).removeprefix("admin on ")
        async with self._client() as client:
            yield Served(origin, admin, client, program)

    async def start(self, command: str, *args: str) -> Program:
        """Starts a command as a process."""
        env = {"JMAP_PROXY_STATE": str(self.state)}
        program = await Program.start(command, "--config", str(self._config), *args, env=env)
        self._programs.append(program)
        return program

    async def run(self, command: str) -> Ended:
        """Runs a command for the account to its end."""
        return await (await self.start(command, NAME)).end()

    async def close(self) -> None:
        """Kills what still runs."""
        for program in self._programs:
            if program.runs:
                program.process.kill()
                await program.end()

    def _assembly(self, clock: Callable[[], float] | None = None) -> Assembly:
        config = load_config(self._config)
        return Assembly(config, self.state) if clock is None else Assembly(config, self.state, clock)

    def _client(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.key}"}, timeout=PATIENCE)

"""The real program as a process of its own, against sandbox servers of the test."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jmap_proxy.sandbox import IdentityProvider, MailServer, browse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ACCOUNT = "alice"


@dataclass
class Program:
    """Runs the commands with a configuration and a state folder of its own.

    Attributes:
        folder: Of the test.
        key: Local key, known after `login`.
        http: Origin of the proxy, known while `serving`.
        pid: Of the serving process.
    """

    folder: Path
    key: str = field(default="", repr=False)
    http: str = ""
    pid: int = 0

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "config.toml"

    def configure(self, mail: MailServer, provider: IdentityProvider) -> None:
        """Write the configuration."""
        self.config.write_text(
            f"""
            [listen]
            http = "127.0.0.1:0"
            admin = "127.0.0.1:0"
            [accounts.{ACCOUNT}]
            server = "{mail.base_url}"
            issuer = "{provider.issuer}"
            client_id = "{provider.settings.client_id}"
            """
        )

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a command; its standard output is a pipe, its log goes to the test's."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jmap_proxy",
            *arguments,
            "--config",
            str(self.config),
            env={**os.environ, "JMAP_PROXY_STATE": str(self.folder / "state")},
            stdout=asyncio.subprocess.PIPE,
        )

    async def login(self) -> None:
        """Sign in with the robot browser."""
        process = await self.start("login", ACCOUNT, "--no-browser")
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        await browse(url)
        told, _ = await process.communicate()
        assert process.returncode == 0
        self.key = told.decode().partition("Local key: ")[2].split()[0]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """`serve`, until the context ends; a process that the test has killed is only reaped."""
        process = await self.start("serve")
        assert process.stdout is not None
        self.http = (await process.stdout.readline()).decode().removeprefix("listening on ").strip()
        self.pid = process.pid
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.communicate()

    def memory(self, field_name: str) -> int:
        """Bytes of the serving process's memory: "VmRSS" now, "VmHWM" at its highest (Linux)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field_name}:"):
                return int(line.split()[1]) << 10
        raise LookupError(field_name)

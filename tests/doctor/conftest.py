"""A healthy installation to plant faults in: signed in, and its proxy running."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from jmap_proxy.cli.running import running_proxy
from tests.support.ports import free_port
from tests.support.world import NAME, basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.program import Ended
    from tests.support.world import World

BASELINE = "service-absent"
"""Told of every machine on which nothing starts the proxy, as of those that run tests."""


@dataclass
class Patient:
    """A healthy installation.

    Attributes:
        world: Its provider, its mail server and its files.
        http: Where its proxy listens.
        proxy: Ends the proxy.
        key: Alice's local key.
    """

    world: World
    http: int = field(default_factory=free_port)
    proxy: AsyncExitStack = field(default_factory=AsyncExitStack)
    key: str = ""

    def configure(self, *lines: str, http: int | None = None, listen: str = "", top: str = "", **account: str) -> None:
        """Write the configuration.

        Args:
            lines: Added to alice's account.
            http: Port of listen.http.
            listen: Lines of that section.
            top: Lines before it.
            account: Alice's keys to be other than they are.
        """
        world = self.world
        keys = {"server": world.mail.base_url, "issuer": world.idp.issuer, "client_id": "jmap-proxy"} | account
        world.config.write_text(
            "\n".join(
                [
                    top,
                    *(["[store]", 'key = "file"'] if "[store]" not in top else []),
                    "[listen]",
                    f'http = "127.0.0.1:{http or self.http}"',
                    *([] if "admin" in listen else [f'admin = "127.0.0.1:{world.admin_port}"']),
                    listen,
                    f"[accounts.{NAME}]",
                    *(f'{name} = "{value}"' for name, value in keys.items()),
                    *lines,
                    "",
                ]
            )
        )

    async def start(self) -> None:
        """Start the proxy, anew if it runs."""
        await self.proxy.aclose()
        assembly = await self.proxy.enter_async_context(self.world.assembly())
        await self.proxy.enter_async_context(running_proxy(assembly))

    async def ask_for_session(self) -> int:
        """A client's request by the proxy; its status."""
        url = f"http://127.0.0.1:{self.http}/.well-known/jmap"
        async with aiohttp.ClientSession() as client, client.get(url, headers=basic(self.key)) as response:
            return response.status

    async def examine(self, *args: str) -> tuple[Ended, list[dict[str, Any]]]:
        """Run the doctor: how it ended, and what it tells beside what is well."""
        ended = await self.world.invoke("doctor", "--json", *args)
        findings = json.loads(ended.out)["findings"]
        return ended, [each for each in findings if each["level"] != "ok" and each["code"] != BASELINE]


@pytest.fixture
async def patient(world: World) -> AsyncIterator[Patient]:
    """A healthy installation; programs of its own machine are the only ones that it meets."""
    patient = Patient(world)
    patient.configure()
    patient.key = (await world.sign_in()).local_key
    await patient.start()
    yield patient
    await patient.proxy.aclose()

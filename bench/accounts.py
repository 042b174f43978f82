"""How much many accounts cost: start-up, memory, idling, and the requests of one of them.

Starts `jmap-proxy serve` with 1, 10, 100 and 1,000 accounts side by side, all signed in with made-up tokens that live
long enough, before one sandbox mail server. Requests go through one account of each, in rounds that take turns; medians
are shown. The processor's time is the proxy's own, by the kernel (Linux), so that a busy machine changes it little.

    python bench/accounts.py [--accounts 1,10,100,1000] [--rounds 7] [--seconds 1.5] [--idle 10]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import click
from rich.console import Console
from rich.table import Table

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.config import load_config
from jmap_proxy.sandbox import MailServer
from jmap_proxy.tokens import TokenSet
from jmap_proxy.tokens.store import write_tokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ISSUER = "http://127.0.0.1:9"
"""Nobody: no token needs to be renewed."""

CALL = {"using": ["urn:ietf:params:jmap:core"], "methodCalls": [["Core/echo", {"hello": True}, "e"]]}
CONNECTIONS = 16
SETTLE = 35.0
"""Seconds after the start, in which the first looks at the token files are over, and one of the full ones."""

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Chain:
    """A proxy of so many accounts, and what was measured.

    Attributes:
        start: Seconds from the start of the process to its first line.
        idle: Seconds of processor time per second in which nothing was asked.
        memory: Bytes.
        rates: Requests per second, by round.
        costs: Seconds of processor time per request, by round.
    """

    accounts: int
    process: asyncio.subprocess.Process
    url: str
    key: str
    start: float
    idle: float = 0.0
    memory: int = 0
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    @property
    def processor_time(self) -> float:
        """Seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def note_memory(self) -> None:
        """Take down the memory that it has now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        self.memory = pages * os.sysconf("SC_PAGE_SIZE")

    async def measure(self, seconds: float) -> None:
        """One round of requests."""
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.key}"}) as client:
            async with client.get(self.url) as response:
                api = (await response.json())["apiUrl"]
            before, since = self.processor_time, time.monotonic()
            counts = await asyncio.gather(*(_ask(client, api, since + seconds) for _ in range(CONNECTIONS)))
            self.rates.append(sum(counts) / (time.monotonic() - since))
            self.costs.append((self.processor_time - before) / sum(counts))


async def _ask(client: aiohttp.ClientSession, api: str, until: float) -> int:
    count = 0
    while time.monotonic() < until:
        async with client.post(api, json=CALL) as response:
            await response.read()
            if response.status != 200:  # noqa: PLR2004 - OK
                raise click.ClickException(f"status {response.status}")
        count += 1
    return count


@contextlib.asynccontextmanager
async def running(folder: Path, server: str, accounts: int) -> AsyncIterator[Chain]:
    """A proxy of so many accounts at that server."""
    await asyncio.to_thread(folder.mkdir)
    config, state, names = folder / "config.toml", folder / "state", [f"account{number}" for number in range(accounts)]
    sections = [f'[accounts.{name}]\nserver = "{server}"\nissuer = "{ISSUER}"\nclient_id = "c"\n' for name in names]
    config.write_text('[listen]\nhttp = "127.0.0.1:0"\nadmin = ""\n' + "".join(sections))
    key = await asyncio.to_thread(_sign_in, Assembly(load_config(config), state), names)
    since = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jmap_proxy", "serve", "--config", str(config), "--log-level", "error",
        env={**os.environ, "JMAP_PROXY_STATE": str(state)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        origin = (await process.stdout.readline()).decode().strip().removeprefix("listening on ")
        yield Chain(accounts, process, f"{origin}/.well-known/jmap", key, time.monotonic() - since)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def _sign_in(assembly: Assembly, names: list[str]) -> str:
    """Store made-up tokens for all; the local key of the account in the middle."""
    now = time.time()
    for name in names:
        tokens = TokenSet(
            account=name, issuer=ISSUER, client_id="c", access_token=f"at-{name}" * 40, refresh_token=f"rt-{name}",
            sign_in_id=name, generation=1, obtained_at=now, expires_at=now + 30 * 86400,
        )  # fmt: skip
        write_tokens(assembly.store(name).path.parent, tokens, assembly.data_key)
    return assembly.local_keys.renew(names[len(names) // 2])


async def _bench(numbers: list[int], rounds: int, seconds: float, idle: float) -> list[Chain]:
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jmap-proxy-bench-")))
        mail = await stack.enter_async_context(MailServer(lambda _token: "demo"))
        chains = [
            await stack.enter_async_context(running(folder / str(number), mail.base_url, number)) for number in numbers
        ]
        await asyncio.sleep(SETTLE)
        before = [chain.processor_time for chain in chains]
        await asyncio.sleep(idle)
        for chain, since in zip(chains, before, strict=True):
            chain.idle = (chain.processor_time - since) / idle
        for turn in range(rounds + 1):
            for chain in chains:
                await chain.measure(seconds)
                mail.requests.clear()
                if turn == 0:  # the first round warms up
                    chain.rates.clear()
                    chain.costs.clear()
        for chain in chains:
            chain.note_memory()
        return chains


@click.command()
@click.option("--accounts", default="1,10,100,1000", show_default=True, help="Numbers of accounts.")
@click.option("--rounds", default=7, show_default=True)
@click.option("--seconds", default=1.5, show_default=True, help="Of each round.")
@click.option("--idle", default=30.0, show_default=True, help="Seconds for which the idle proxies are watched.")
def main(accounts: str, rounds: int, seconds: float, idle: float) -> None:
    """Measure, and print a table."""
    chains = asyncio.run(_bench([int(number) for number in accounts.split(",")], rounds, seconds, idle))
    table = Table(
        "accounts", "start s", "RSS MiB", "KiB/account", "idle CPU %", "requests/s", "CPU ms/request", "ratio"
    )
    first = chains[0]
    for chain in chains:
        rate, cost = statistics.median(chain.rates), statistics.median(chain.costs)
        more = (chain.memory - first.memory) / max(1, chain.accounts - first.accounts)
        table.add_row(
            f"{chain.accounts:,}",
            f"{chain.start:.2f}",
            f"{chain.memory / 2**20:.1f}",
            "-" if chain is first else f"{more / 1024:.1f}",
            f"{100 * chain.idle:.2f}",
            f"{rate:.0f}",
            f"{1000 * cost:.3f}",
            f"start {chain.start / first.start:.2f}, RSS {chain.memory / first.memory:.2f}, "
            f"CPU/request {cost / statistics.median(first.costs):.2f}",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()

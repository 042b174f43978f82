"""How much more several workers do than one process: requests per second, and processor time per request.

nginx is the server behind them, wrk the clients: both must be installed. On a machine whose cores do not suffice for
all of these, the load is the limit and the ratio says little. So each process of the proxy can be given a share of its
time alone (it is stopped for the rest of every 20 ms, one after the other): then what is measured is whether workers
hold each other up, which is the question.

    python bench/workers.py [--workers 2] [--share 0.3] [--connections 32] [--rounds 5] [--seconds 4]
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
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
from jmap_proxy.tokens import TokenSet

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

ISSUER = "http://127.0.0.1:9"
"""Nobody: no token needs to be renewed."""

PERIOD = 0.02
TICKS = os.sysconf("SC_CLK_TCK")

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; default_type application/json;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{
    listen 127.0.0.1:{port};
    location = /.well-known/jmap {{ return 200 '{session}'; }}
    location = /api/ {{ set $half {half}; return 200 '{{"methodResponses":[["x","$half$half","0"]]}}'; }}
  }}
}}
"""


@dataclass
class Served:
    """A proxy with so many workers, and what was measured: requests/s, processor seconds a request, by round."""

    workers: int
    process: asyncio.subprocess.Process
    api: str
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)

    @property
    def serving(self) -> list[int]:
        """The processes that serve."""
        own = self.process.pid
        return [int(each) for each in Path(f"/proc/{own}/task/{own}/children").read_text().split()] or [own]

    @property
    def processor_time(self) -> float:
        """Seconds so far, of all its processes."""
        stats = [Path(f"/proc/{each}/stat").read_text() for each in {self.process.pid, *self.serving}]
        times = [text.rpartition(")")[2].split()[11:13] for text in stats]
        return sum(int(user) + int(system) for user, system in times) / TICKS

    async def measure(self, script: Path, connections: int, seconds: int, share: float) -> None:
        """One round."""
        async with limited(self.serving, share):
            before = self.processor_time
            wrk = await asyncio.create_subprocess_exec(
                "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), self.api,
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            told = (await wrk.communicate())[0].decode()
            used = self.processor_time - before
        if "Non-2xx" in told or "Socket errors" in told:
            raise click.ClickException(told)
        found = re.search(r"(\d+) requests in ", told)
        count = int(found[1]) if found else 0
        self.rates.append(count / seconds)
        self.costs.append(used / count)


@contextlib.asynccontextmanager
async def limited(processes: Sequence[int], share: float) -> AsyncIterator[None]:
    """Let each of these processes run for that share of the time alone, and no two at the same time if that goes."""

    def send(process: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)

    def turn() -> None:
        while not over:
            for process in processes:
                send(process, signal.SIGCONT)
                time.sleep(PERIOD * share)
                send(process, signal.SIGSTOP)
            time.sleep(max(0.0, PERIOD * (1 - share * len(processes))))

    over: list[bool] = []
    turning = asyncio.create_task(asyncio.to_thread(turn)) if share < 1 else None
    try:
        yield
    finally:
        over.append(True)
        if turning is not None:
            await turning
        for process in processes:
            send(process, signal.SIGCONT)


@contextlib.asynccontextmanager
async def upstream(folder: Path, port: int) -> AsyncIterator[str]:
    """An nginx that answers as a mail server does; its origin."""
    origin = f"http://127.0.0.1:{port}"
    session = {
        "capabilities": {"urn:ietf:params:jmap:core": {"maxSizeRequest": 10_000_000}},
        "accounts": {}, "primaryAccounts": {}, "username": "a", "state": "s", "apiUrl": f"{origin}/api/",
        "downloadUrl": f"{origin}/d/{{accountId}}/{{blobId}}/{{name}}?accept={{type}}",
        "uploadUrl": f"{origin}/u/{{accountId}}/",
        "eventSourceUrl": f"{origin}/e?types={{types}}&closeafter={{closeafter}}&ping={{ping}}",
    }  # fmt: skip
    text = NGINX.format(folder=folder, port=port, session=json.dumps(session), half="y" * 3370)
    await asyncio.to_thread((folder / "nginx.conf").write_text, text)
    nginx = await asyncio.create_subprocess_exec("nginx", "-c", str(folder / "nginx.conf"))
    try:
        yield origin
    finally:
        nginx.terminate()
        await nginx.wait()


@contextlib.asynccontextmanager
async def running(folder: Path, key: str, workers: int) -> AsyncIterator[Served]:
    """A proxy with so many workers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jmap_proxy", "serve", "--config", str(folder / "config.toml"), "--log-level", "error",
        "--workers", str(workers),
        env={**os.environ, "JMAP_PROXY_STATE": str(folder / "state")}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        if process.stdout is None:
            raise RuntimeError("no pipe")
        origin = (await process.stdout.readline()).decode().strip().removeprefix("listening on ")
        fields = {"Authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession() as client:
            response = await client.get(f"{origin}/.well-known/jmap", headers=fields)
            api = (await response.json())["apiUrl"]
        yield Served(workers, process, api)
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def _sign_in(folder: Path, server: str) -> str:
    """Store made-up tokens; the local key."""
    (folder / "config.toml").write_text(
        '[listen]\nhttp = "127.0.0.1:0"\nadmin = ""\n[store]\nkey = "file"\n'
        f'[accounts.a]\nserver = "{server}"\nissuer = "{ISSUER}"\nclient_id = "c"\n'
    )
    assembly, now = Assembly(load_config(folder / "config.toml"), folder / "state"), time.time()
    tokens = TokenSet(
        account="a", issuer=ISSUER, client_id="c", access_token="at" * 400, refresh_token="rt",  # noqa: S106 - made up
        sign_in_id="a", generation=1, obtained_at=now, expires_at=now + 30 * 86400,
    )  # fmt: skip
    await assembly.store("a").save(tokens)
    key = assembly.local_keys.renew("a")
    fields = f'wrk.headers["Authorization"] = "Bearer {key}"\nwrk.headers["Content-Type"] = "application/json"\n'
    (folder / "post.lua").write_text(f'wrk.method = "POST"\nwrk.body = string.rep("x", 200)\n{fields}')
    return key


async def _bench(workers: int, connections: int, rounds: int, seconds: int, share: float) -> list[Served]:
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jmap-proxy-bench-")))
        with contextlib.closing(await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)) as probe:
            port = int(probe.sockets[0].getsockname()[1])
        server = await stack.enter_async_context(upstream(folder, port))
        key = await _sign_in(folder, server)
        served = [await stack.enter_async_context(running(folder, key, number)) for number in (1, workers)]
        for turn in range(rounds + 1):
            for each in served:
                await each.measure(folder / "post.lua", connections, seconds, share)
                if turn == 0:  # the first round warms up
                    each.rates.clear()
                    each.costs.clear()
        return served


@click.command()
@click.option("--workers", default=2, show_default=True)
@click.option("--share", default=0.3, show_default=True, help="Of its time that each process runs; 1: all.")
@click.option("--connections", default=32, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=4, show_default=True, help="Of each round.")
def main(workers: int, share: float, connections: int, rounds: int, seconds: int) -> None:
    """Measure, and print a table."""
    served = asyncio.run(_bench(workers, connections, rounds, seconds, share))
    table = Table("workers", "requests/s", "spread", "CPU ms/request")
    for each in served:
        spread = f"{min(each.rates):.0f}-{max(each.rates):.0f}"
        cost = 1000 * statistics.median(each.costs)
        table.add_row(str(each.workers), f"{statistics.median(each.rates):.0f}", spread, f"{cost:.3f}")
    console = Console(width=100)
    console.print(table)
    ratios = [more / one for one, more in zip(served[0].rates, served[1].rates, strict=True)]
    console.print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), share {share:g}")


if __name__ == "__main__":
    main()

"""Closed-loop load by wrk: each connection sends its next request when it has the answer to the one before."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("report.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it.

    Attributes:
        requests: That were answered.
        rate: Requests per second.
        p50: Seconds in which half of the answers came.
        p99: Seconds in which 99 of 100 came.
    """

    requests: int
    rate: float
    p50: float
    p99: float


async def wrk(
    core: int, url: str, key: str, connections: int, seconds: float, *, body: bytes | None = None, is_new: bool = False
) -> Load:
    """Ask for a URL for a while.

    Args:
        core: Where wrk runs.
        url: What is asked for.
        key: Shown as a bearer token.
        connections: So many requests are under way at any time.
        seconds: How long; wrk knows whole ones only.
        body: Of a POST; None for a GET. It is the shortest: they differ in length from one to the next.
        is_new: Whether each has a header field that no other one has had.

    Raises:
        RuntimeError: a request has failed: then the numbers mean nothing.
    """
    request = ["POST", key, body.decode(), *(["new"] if is_new else [])] if body is not None else ["GET", key]
    process = await asyncio.create_subprocess_exec(
        "taskset", "--cpu-list", str(core), "wrk", "--threads", "1", "--connections", str(connections),
        "--duration", f"{max(1, round(seconds))}s", "--timeout", "10s", "--script", str(SCRIPT), url, "--", *request,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out = (await process.communicate())[0].decode()
    found = [line.removeprefix("REPORT ") for line in out.splitlines() if line.startswith("REPORT ")]
    if not found:
        raise RuntimeError(f"wrk: {out}")
    report = json.loads(found[0])
    if report["failed"] or not report["requests"]:
        raise RuntimeError(f"{url}: {report['failed']} of {report['requests']} requests have failed")
    requests = report["requests"]
    return Load(requests, requests / report["duration"] * 1e6, report["p50"] / 1e6, report["p99"] / 1e6)

"""The machine that is measured on: which cores do what, and what is installed."""

from __future__ import annotations

import os
import platform
import re
import resource
import ssl
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / ".bench"
"""Where `install.sh` puts what does not come from Debian."""


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the proxy that is measured, another one for the load and the server behind the proxy."""

    proxy: int
    load: int


def choose_cores() -> Cores:
    """The first two cores that we may use. Raises SystemExit where there is but one."""
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < 2:  # noqa: PLR2004 - one each
        raise SystemExit("two cores are needed: one for the proxy, one for the load and the server")
    return Cores(*ours[:2])


def raise_file_limit() -> None:
    """Thousands of streams are twice as many files; what we start inherits it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def describe() -> dict[str, str]:
    """The machine, without its name."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", cpuinfo)
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def versions() -> dict[str, str]:
    """What is compared, and what it is made of."""
    return {
        "jmap-proxy": version("jmap-proxy"),
        "Python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "uvloop": version("uvloop"),
        "OpenSSL of Python": ssl.OPENSSL_VERSION.split()[1],
        "caddy": _said("caddy", "version"),
        "nginx": _said("nginx", "-v").partition("/")[2],
        "haproxy": _said("haproxy", "-v").split()[2],
        "mitmproxy": _said(str(TOOLS / "mitmproxy/bin/mitmdump"), "--version")
        .splitlines()[0]
        .partition(" ")[2]
        .strip(),
        "wrk": _said("wrk", "-v").split()[1],
    }


def _said(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        sys.exit(f"{argv[0]} is not installed: run bench/install.sh")
    return (done.stdout or done.stderr).strip()

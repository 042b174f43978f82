"""The proxy's own doors: who listens at its addresses, and whether strangers are refused there.

Three requests are sent to each listener that must all be refused: for a foreign Host (DNS rebinding), from a foreign
web page, and without a local key. None of them holds a secret.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
import msgspec

from jmap_proxy.addresses import parse_address
from jmap_proxy.aside import aside
from jmap_proxy.doctor.answers import read_answer
from jmap_proxy.doctor.finding import Finding, error, ok, warning
from jmap_proxy.errors import HostRefused, KeyRefused, OriginRefused
from jmap_proxy.origins import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jmap_proxy.addresses import Address
    from jmap_proxy.config import Config

OURS = "urn:jmap-proxy:error:"
FOREIGN_HOST = "localhost.doctor.invalid"
"""Begins like one of our names, as in the attack on filters that do not compare whole names (kubernetes#8871)."""
FOREIGN_ORIGIN = "https://doctor.invalid"

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound to
ANSWER_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class Way:
    """A listener as the configuration names it.

    Attributes:
        key: The config key.
        address: Where it is.
        https: Whether it speaks TLS.
        asks_key: Whether it asks everybody for a local key.
        path: What is asked for.
    """

    key: str
    address: Address
    https: bool = False
    asks_key: bool = True
    path: str = "/.well-known/jmap"

    @property
    def origin(self) -> Origin:
        """Where it can be reached from here."""
        host = EVERYWHERE.get(self.address.host, self.address.host)
        return Origin("https" if self.https else "http", host, self.address.port)


@dataclass(frozen=True, slots=True)
class Knocked:
    """What became of the three requests: our errors' codes, "" for any other answer.

    Attributes:
        listening: Whether anybody listens there.
    """

    foreign_host: str = ""
    foreign_origin: str = ""
    no_key: str = ""
    listening: bool = True

    @property
    def is_ours(self) -> bool:
        """Whether it is a proxy of ours that has answered."""
        return any((self.foreign_host, self.foreign_origin, self.no_key))


class _Problem(msgspec.Struct):
    type: str


def ways_of(config: Config, accounts: Iterable[str]) -> Iterator[Way]:
    """The listeners whose port is known, the accounts' own ones included."""
    listen, keyed = config.listen, not config.open_accounts
    for key, text, https in (("listen.http", listen.http, False), ("listen.https", listen.https, True)):
        if (address := parse_address(key, text)) is not None and address.port:
            yield Way(key, address, https=https, asks_key=keyed)
    if (address := parse_address("listen.admin", listen.admin)) is not None and address.port:
        yield Way("listen.admin", address, asks_key=False, path="/healthz")
    for name in accounts:
        key, account = f"accounts.{name}.listen", config.accounts[name]
        if (address := parse_address(key, account.listen)) is not None and address.port:
            yield Way(key, address, asks_key=account.local_auth == "key")


async def knock(http: aiohttp.ClientSession, way: Way) -> Knocked:
    """Send the three requests. TLS is not verified: nothing secret is sent.

    Raises:
        TimeoutError: somebody listens, and does not answer.
    """
    try:
        return Knocked(
            *await asyncio.gather(
                _ask(http, way, {"Host": FOREIGN_HOST}),
                _ask(http, way, {"Origin": FOREIGN_ORIGIN}),
                _ask(http, way, {}),
            )
        )
    except aiohttp.ClientSSLError:
        return Knocked()  # somebody who speaks something else
    except aiohttp.ClientConnectorError:
        return Knocked(listening=False)


async def _ask(http: aiohttp.ClientSession, way: Way, headers: dict[str, str]) -> str:
    """The code of our error, "" for any other answer. Raises ClientConnectorError, TimeoutError."""
    try:
        url = f"{way.origin}{way.path}"
        async with http.get(url, headers=headers, allow_redirects=False, ssl=False) as response:
            problem = msgspec.json.decode(await read_answer(response.content, ANSWER_LIMIT), type=_Problem).type
    except (aiohttp.ClientConnectorError, TimeoutError):
        raise
    except (aiohttp.ClientError, OSError, ValueError, RecursionError):  # an answer that is no problem of ours
        return ""
    return problem.removeprefix(OURS) if problem.startswith(OURS) else ""


def judge_knocks(way: Way, knocked: Knocked) -> list[Finding]:
    """What the answers to the three requests tell. Pure."""
    if not knocked.is_ours:
        return [taken(way)]
    between = f"see what stands between clients and {way.key}: it must pass on Host and Origin as they come"
    findings = []
    if knocked.foreign_host != HostRefused.code:
        what = f"{way.origin} ({way.key}) answers a request for a foreign Host, so web pages can get in (DNS rebinding)"
        findings.append(error("host-filter-open", what, between))
    if knocked.foreign_origin != OriginRefused.code:
        what = f"{way.origin} ({way.key}) answers a request that comes from a foreign web page"
        findings.append(error("origin-filter-open", what, between))
    if way.asks_key and knocked.no_key != KeyRefused.code:
        what = f"{way.origin} ({way.key}) lets in who shows no local key"
        mend = f"see what stands between clients and {way.key}: it must not add an Authorization of its own"
        findings.append(error("key-not-asked", what, mend))
    return findings or [ok("door", f"{way.key} refuses strangers")]


async def look_at_address(way: Way, *, running: bool) -> list[Finding]:
    """What there is to say of an address at which nobody listens."""
    if running:
        what = f"{way.key} is {way.origin}, but the running proxy does not listen there"
        return [warning("port-not-served", what, "restart jmap-proxy serve; its log tells if it cannot listen there")]
    return judge_binding(way, await aside(_try_to_bind, way.address))


def _try_to_bind(address: Address) -> int:
    """The number of the error that stands against listening there, 0 for none. Blocks; nothing is listened on."""
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio's servers
            tried.bind(where)
    except (socket.gaierror, UnicodeError):  # the latter: a host that no IDNA knows
        return errno.EADDRNOTAVAIL
    except OSError as trouble:
        return trouble.errno or errno.EADDRNOTAVAIL
    return 0


def judge_binding(way: Way, number: int) -> list[Finding]:
    """What an error number says about listening at an address; 0: it can be. Pure."""
    text = f"{way.address.host}:{way.address.port}"
    if number == 0:
        return []
    if number == errno.EADDRINUSE:
        return [taken(way)]
    if number in {errno.EACCES, errno.EPERM}:
        what = f"{way.key}: {text}: only root may listen at that port"
        mend = f"set {way.key} to a port from 1024 up, or let systemd hand the socket down"
        return [error("port-privileged", what, mend)]
    if number in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
        what = f"{way.key}: {text} is no address of this machine"
        return [error("address-not-here", what, f"set {way.key} to one that is, such as 127.0.0.1:{way.address.port}")]
    return [error("port-unusable", f"{way.key}: {text}: {os.strerror(number)}", f"set {way.key} to another address")]


def taken(way: Way) -> Finding:
    """Another program is at our address."""
    what = f"another program listens at {way.address.host}:{way.address.port} ({way.key})"
    mend = f"end that program (to find it: ss -ltnp 'sport = :{way.address.port}'), or set {way.key} to another port"
    return error("port-taken", what, mend)

"""Whether a server can be reached: its name, a connection, TLS. Sends nothing of ours."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.aside import aside
from jmap_proxy.doctor.finding import Finding, error
from jmap_proxy.doctor.tls_trouble import judge_handshake

if TYPE_CHECKING:
    from jmap_proxy.origins import Origin


@dataclass(frozen=True, slots=True)
class Place:
    """A server that an account needs.

    Attributes:
        origin: Where it is.
        key: The config key that names it.
        account: Whose.
    """

    origin: Origin
    key: str
    account: str


async def reach(place: Place, trust: ssl.SSLContext, limit: float) -> Finding | None:
    """Why the server cannot be reached, None if it can.

    Args:
        place: The server.
        trust: Whom to trust.
        limit: Seconds for its name, and again for the connection.
    """
    return await _resolve(place, limit) or await _connect(place, trust, limit)


async def _resolve(place: Place, limit: float) -> Finding | None:
    host, mend = place.origin.host, f"check {place.key}, and this machine's network and name server"
    try:
        async with asyncio.timeout(limit):
            await aside(socket.getaddrinfo, host, place.origin.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        what = f"the name server does not answer within {limit:g} s to the question for {host}"
        return error("dns-slow", what, mend, place.account)
    except (OSError, UnicodeError) as trouble:  # the latter: a host that no IDNA knows
        reason = (isinstance(trouble, socket.gaierror) and trouble.strerror) or "no name of a host"
        return error("dns", f"{host} is not found: {reason}", mend, place.account)
    return None


async def _connect(place: Place, trust: ssl.SSLContext, limit: float) -> Finding | None:
    origin = place.origin
    mend = f"see whether {origin.host} is up and no firewall is between; check {place.key}"
    try:
        async with asyncio.timeout(limit):
            tls = trust if origin.scheme == "https" else None
            _, writer = await asyncio.open_connection(origin.host, origin.port, ssl=tls)
        writer.transport.abort()
    except ssl.SSLError as trouble:
        return judge_handshake(trouble, origin, place.key, place.account)
    except TimeoutError:
        return error("unreachable", f"{origin} does not answer within {limit:g} s", mend, place.account)
    except OSError as trouble:
        return error("unreachable", f"{origin}: {_reason(trouble)}", mend, place.account)
    return None


def _reason(trouble: OSError) -> str:
    """Why, without the address, which asyncio's own text names once more."""
    return os.strerror(trouble.errno) if trouble.errno and trouble.errno > 0 else type(trouble).__name__

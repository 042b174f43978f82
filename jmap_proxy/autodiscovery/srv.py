"""The SRV record of JMAP (RFC 8620 §2.2, RFC 2782): which hosts serve a domain's mail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.asyncresolver
import dns.exception
import dns.resolver

from jmap_proxy.errors import DiscoveryError
from jmap_proxy.origins import Origin, split_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TIME_LIMIT = 10.0
"""Seconds for the answer of all name servers together."""

BY_SERVER = "try again, or name the server: --server URL"


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record.

    Attributes:
        host: Without the dot at the end; "" says that there is no such service.
        port: TCP port.
        priority: Lower ones come first.
        weight: Share among those of one priority.
    """

    host: str
    port: int
    priority: int = 0
    weight: int = 0


def system_resolver() -> dns.asyncresolver.Resolver:
    """What this machine is set up to ask. Blocks for a small file. Raises DiscoveryError."""
    try:
        resolver = dns.asyncresolver.Resolver()
    except (dns.exception.DNSException, OSError) as error:
        raise DiscoveryError(
            f"this machine names no name server to ask: {type(error).__name__}", hint=BY_SERVER
        ) from None
    resolver.lifetime = TIME_LIMIT
    return resolver


async def services(domain: str, resolver: dns.asyncresolver.Resolver) -> tuple[Service, ...]:
    """The services of a domain as the records come; none where there are no records.

    Raises:
        DiscoveryError: the name servers do not answer, or with an error.
    """
    try:
        answer = await resolver.resolve(f"_jmap._tcp.{domain}.", "SRV", search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ()
    except (dns.exception.DNSException, OSError) as error:
        reason = "in time" if isinstance(error, dns.exception.Timeout) else "usably"
        raise DiscoveryError(
            f"the name servers do not answer {reason} what serves the mail of {domain} ({type(error).__name__})",
            hint=BY_SERVER,
        ) from None
    return tuple(
        Service(
            record.target.to_text(omit_final_dot=True).lower().rstrip("."), record.port, record.priority, record.weight
        )
        for record in answer
    )


def in_order(found: Sequence[Service], draw: Callable[[int], int]) -> tuple[Service, ...]:
    """The services in the order in which they are to be tried (RFC 2782).

    Args:
        found: Of one domain.
        draw: A random number from 0 to its argument, both included.
    """
    ordered: list[Service] = []
    for priority in sorted({service.priority for service in found}):
        # Those of weight 0 first, so that they are chosen only if 0 is drawn.
        left = sorted((each for each in found if each.priority == priority), key=lambda each: each.weight)
        while left:
            drawn = draw(sum(service.weight for service in left))
            for service in left:
                drawn -= service.weight
                if drawn <= 0:
                    break
            ordered.append(service)
            left.remove(service)
    return tuple(ordered)


def usable(service: Service) -> bool:
    """Whether a service can be asked: it has a port, and a host name, while DNS takes any bytes (RFC 2181 §11)."""
    try:
        named = Origin("https", service.host, service.port)
        return split_url(f"https://{service.host}:{service.port}") == (named, "")
    except ValueError:
        return False


def none_offered(found: Sequence[Service]) -> bool:
    """Whether the domain says that it has no such service (RFC 2782: the one target ".")."""
    return bool(found) and all(not service.host for service in found)

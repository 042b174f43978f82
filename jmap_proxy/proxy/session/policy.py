"""What an account allows: where its token may go, and how the URLs of its server are understood. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Container

    from jmap_proxy.origins import Origin

_SESSION_PLACE = re.compile(r"(?P<mount>.*?)/(?:\.well-known/jmap|jmap(?:/session)?)/?", re.DOTALL)


def mount_of(path: str) -> str:
    """The path below which a whole JMAP server is, seen from that of its Session: "/oidc" or "".

    Sessions are at `/.well-known/jmap` (RFC 8620 §2.2), `/jmap/session` (measured: Fastmail, James, Stalwart) or
    `/jmap/` (measured: Cyrus); of another path nothing can be said.
    """
    match = _SESSION_PLACE.fullmatch(path.partition("?")[0])
    return match["mount"] if match else ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What an account allows.

    Attributes:
        server: Origin of the configured server.
        allowed: Origins that may get the token, the server's included.
        rewrite: "map": each allowed origin stays what it is; "force": everything is taken to be on `server`.
        mount: Path of `server` below which everything is when forced; "" for all of it.
    """

    server: Origin
    allowed: Container[Origin]
    rewrite: Literal["map", "force"] = "map"
    mount: str = ""

    def place(self, origin: Origin, rest: str) -> tuple[Origin, str]:
        """Where a URL that the server names is taken to be; `rest` begins with a slash."""
        if self.rewrite == "map":
            return origin, rest
        path = rest.partition("?")[0]
        inside = path == self.mount or path.startswith(f"{self.mount}/")
        return self.server, rest if inside else f"{self.mount}{rest}"

    def trusts(self, origin: Origin) -> bool:
        """Whether a URL at `origin` may get the token because the server names it.

        A server elsewhere that names this machine is misconfigured (measured: James' default) or worse; what listens
        here is not its own, even if the configuration allows that origin.
        """
        return origin in self.allowed and (self.server.is_loopback or not origin.is_loopback)

    def hint_against(self, origin: Origin) -> str:
        """What to do about an origin that is not trusted."""
        if origin.is_loopback:
            return 'the server does not know its own name: set rewrite = "force"'
        return f'add "{origin}" to the account\'s upstream_origins if you trust it, or set rewrite = "force"'

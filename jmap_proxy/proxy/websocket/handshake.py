"""The opening handshake of JMAP over WebSocket (RFC 6455 §4, RFC 8887 §3), on both sides of the proxy. Pure.

The client's key and extensions go on to the server, and the server's answer to them comes back, so that the two of
them speak with each other. The subprotocol is always `jmap`; other ones that a client offers stay here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jmap_proxy.errors import HandshakeMalformed, UpgradeNeeded, UpstreamMalformed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jmap_proxy.proxy.wire.headers import Field

SUBPROTOCOL = "jmap"

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_SIZE = 16
_UPGRADE = [("Upgrade", "websocket"), ("Connection", "Upgrade")]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a client offers.

    Attributes:
        key: Its Sec-WebSocket-Key.
        extensions: Its Sec-WebSocket-Extensions, "" for none.
    """

    key: str
    extensions: str = ""

    def fields(self) -> list[Field]:
        """The header fields of the handshake with the server."""
        fields = [
            *_UPGRADE,
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", self.key),
            ("Sec-WebSocket-Protocol", SUBPROTOCOL),
        ]
        return [*fields, ("Sec-WebSocket-Extensions", self.extensions)] if self.extensions else fields


def read_offer(fields: Iterable[Field], version: tuple[int, int] = (1, 1)) -> Offer:
    """The client's part of the handshake (RFC 6455 §4.2.1).

    Upgrade must be `websocket` alone: behind anything else the HTTP parser looks for another request.

    Args:
        fields: Of the request, a GET.
        version: Of HTTP.

    Raises:
        UpgradeNeeded: no handshake, or one of another version of the protocol.
        HandshakeMalformed: a handshake that no server may accept, or without the subprotocol.
    """
    fields = list(fields)
    if version < (1, 1) or not _asks_for_websocket(fields):
        raise UpgradeNeeded("the request is no WebSocket handshake", hint="this endpoint is for WebSocket clients")
    if _values(fields, "sec-websocket-version") != ["13"]:
        raise UpgradeNeeded("the handshake is not of WebSocket version 13", hint="use a client of RFC 6455")
    keys = _values(fields, "sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HandshakeMalformed("Sec-WebSocket-Key is not one key of 16 bytes", hint="use a client of RFC 6455")
    if _values(fields, "transfer-encoding") or _values(fields, "content-length") not in ([], ["0"]):
        raise HandshakeMalformed("the handshake has a body", hint="send messages when the connection is open")
    if SUBPROTOCOL not in _listed(fields, "sec-websocket-protocol"):
        raise HandshakeMalformed("the client does not offer the subprotocol jmap", hint="offer it (RFC 8887 §3)")
    return Offer(keys[0], ", ".join(_listed(fields, "sec-websocket-extensions")))


def accepted_fields(offer: Offer, fields: Iterable[Field]) -> list[Field]:
    """The header fields of the 101 for the client, from those of the server's 101 (RFC 6455 §4.1).

    Raises:
        UpstreamMalformed: the server's 101 is no answer to this offer.
    """
    fields = list(fields)
    accept = _values(fields, "sec-websocket-accept")
    extensions = _listed(fields, "sec-websocket-extensions")
    if not _asks_for_websocket(fields) or accept != [accept_of(offer.key)]:
        raise _malformed("switches to something else than the WebSocket that it was asked for")
    if _values(fields, "transfer-encoding") or _values(fields, "content-length"):
        raise _malformed("gives its 101 a body")
    if _values(fields, "sec-websocket-protocol") != [SUBPROTOCOL]:
        raise _malformed("does not choose the subprotocol jmap")
    if not _names(extensions) <= _names(_listed([("e", offer.extensions)], "e")):
        raise _malformed("chooses an extension that was not offered")
    chosen = [*_UPGRADE, ("Sec-WebSocket-Accept", accept[0]), ("Sec-WebSocket-Protocol", SUBPROTOCOL)]
    return [*chosen, ("Sec-WebSocket-Extensions", ", ".join(extensions))] if extensions else chosen


def accept_of(key: str) -> str:
    """The Sec-WebSocket-Accept that belongs to a key (RFC 6455 §4.2.2)."""
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _asks_for_websocket(fields: list[Field]) -> bool:
    upgrade = [value.lower() for value in _values(fields, "upgrade")]
    return upgrade == ["websocket"] and "upgrade" in {word.lower() for word in _listed(fields, "connection")}


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == _KEY_SIZE
    except (binascii.Error, ValueError):
        return False


def _values(fields: list[Field], name: str) -> list[str]:
    return [value.strip() for field, value in fields if field.lower() == name]


def _listed(fields: list[Field], name: str) -> list[str]:
    """The elements of a field that is a list (RFC 9110 §5.6.1)."""
    return [word.strip() for value in _values(fields, name) for word in value.split(",") if word.strip()]


def _names(extensions: list[str]) -> set[str]:
    return {extension.partition(";")[0].strip().lower() for extension in extensions}


def _malformed(what: str) -> UpstreamMalformed:
    return UpstreamMalformed(f"the server {what}", hint="check the account's server")

"""Requests and answers that aiohttp's parsers let pass and that not everybody understands in the same way. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jmap_proxy.errors import (
    CodingRefused,
    ExpectationRefused,
    RequestMalformed,
    UpstreamMalformed,
    VersionRefused,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multidict import MultiMapping

VERSIONS = ((1, 0), (1, 1))

LAST_STATUS = 599
"""Largest one that RFC 9110 §15 gives a meaning."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def check_framing(method: str, version: tuple[int, int], headers: Mapping[str, str]) -> None:
    """See that a request's head means the same to everybody.

    Args:
        method: The request's.
        version: Of HTTP, major and minor.
        headers: Header fields, their bytes decoded by UTF-8 with surrogateescape.

    Raises:
        VersionRefused: neither HTTP/1.0 nor HTTP/1.1.
        CodingRefused: a transfer coding besides chunked; its bytes would go on as if they were the body.
        RequestMalformed: CONNECT, behind which no requests follow; a transfer coding in HTTP/1.0 (RFC 9112 §6.1); or a
            field that is not UTF-8, which could only be passed on changed.
        ExpectationRefused: Expect asks for something else than 100-continue (RFC 9110 §10.1.1).
    """
    if version not in VERSIONS:
        raise VersionRefused
    if method == "CONNECT":
        raise RequestMalformed("there are no tunnels here")
    coding = headers.get("Transfer-Encoding")
    if coding is not None and coding.lower() != "chunked":
        raise CodingRefused
    if coding is not None and version == (1, 0):
        raise RequestMalformed("HTTP/1.0 has no transfer codings")
    if "Expect" in headers and headers["Expect"].lower() != "100-continue" and version == (1, 1):
        raise ExpectationRefused
    if not is_utf8("".join(headers.values())):
        raise RequestMalformed("a header field is not UTF-8")


def check_answer(version: tuple[int, int], status: int, reason: str, headers: MultiMapping[str]) -> None:
    """See that an answer's head means the same to everybody, and can be passed on.

    Raises:
        UpstreamMalformed: it does not.
    """
    if version not in VERSIONS or status > LAST_STATUS:
        fault = f"status {status}, HTTP/{version[0]}.{version[1]}"
    elif ", ".join(headers.getall("Transfer-Encoding", ["chunked"])).lower() != "chunked":
        fault = "a transfer coding that was not asked for"
    elif has_control((reason, *headers.values())):
        fault = "a control character in its head"
    else:
        return
    raise UpstreamMalformed(f"the server's answer has {fault}", hint="check the account's server")


def has_control(texts: Iterable[str]) -> bool:
    """Whether a control character besides the tab is in a text; none may be in a head (RFC 9110 §5.5)."""
    joined = "".join(texts)
    return not joined.isprintable() and _CONTROL.search(joined) is not None


def is_last(headers: Mapping[str, str]) -> bool:
    """Whether a request must be the last one on its connection.

    aiohttp drops what is pipelined behind an upgrade that is declined, and takes the last trailer of a chunked body for
    the first field of the next request (seen in 3.14).
    """
    return "Upgrade" in headers or "Transfer-Encoding" in headers


def is_utf8(value: str) -> bool:
    """Whether a value that was decoded with surrogateescape had no undecodable bytes."""
    return value.isascii() or not any("\udc80" <= character <= "\udcff" for character in value)

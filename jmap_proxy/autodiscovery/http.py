"""HTTP towards a server that nothing is known of yet: without credentials, small, and each trouble in words of its own.

Redirects are not followed here: where they may lead is `finder`'s to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from jmap_proxy.errors import ServerUnreachable
from jmap_proxy.origins import parse_origin

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

ANSWER_LIMIT = 1 << 20
"""Bytes of an answer that are read at most: what is asked here is nobody's, and so it is small."""

TIMEOUT = aiohttp.ClientTimeout(total=15, sock_connect=5)

FIELDS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "jmap-proxy"}

SPELLING = "check the spelling, and this machine's network; or name the server: --server URL"


@dataclass(frozen=True, slots=True)
class Page:
    """An answer, whatever it is.

    Attributes:
        url: What was asked for.
        status: HTTP status.
        headers: Case-insensitive, with repetitions.
        body: At most ANSWER_LIMIT bytes; what is longer is cut, and is no JSON then.
    """

    url: str
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


class ServerHttp:
    """Requests to a server.

    Args:
        session: Without cookies, environment proxies or decompression; its maker owns it.
        timeout: How long to wait for an answer (total) and a connection (sock_connect), in seconds.
    """

    def __init__(self, session: aiohttp.ClientSession, timeout: aiohttp.ClientTimeout = TIMEOUT) -> None:
        self._session = session
        self._timeout = timeout

    async def get(self, url: str) -> Page:
        """GET a document.

        Raises:
            ServerUnreachable: the name is not known, nobody listens, TLS fails, the answer does not come in time.
        """
        origin = parse_origin(url)
        try:
            async with self._session.get(
                URL(url, encoded=True), headers=FIELDS, allow_redirects=False, timeout=self._timeout
            ) as answer:
                return Page(url, answer.status, answer.headers, await _read(answer.content))
        except aiohttp.ClientConnectorDNSError:
            detail, hint = f"the name {origin.host} is not known (DNS)", SPELLING
        except aiohttp.ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", "") or "it is not for this name"
            detail = f"the certificate of {origin} is not good: {reason}"
            hint = "for a private authority write an account with server and ca_file, then run: jmap-proxy login NAME"
        except aiohttp.ClientSSLError:
            detail, hint = f"{origin} does not speak TLS as it should", "check the address and the port"
        except TimeoutError:
            detail, hint = f"{origin} does not answer in time", "try again later; " + SPELLING
        except aiohttp.ClientConnectorError:
            detail, hint = f"nothing answers at {origin}", SPELLING
        except (aiohttp.ClientError, OSError, UnicodeError, ValueError) as error:
            detail, hint = f"{origin} does not answer as a web server should ({type(error).__name__})", SPELLING
        raise ServerUnreachable(detail, hint=hint)


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > ANSWER_LIMIT:
            break
    return bytes(body[:ANSWER_LIMIT])

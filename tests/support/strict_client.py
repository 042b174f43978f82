"""A client that knows RFC 8620, RFC 8887 and a few extensions by their text, and forgives nothing.

It takes absolute URLs only, expands level-1 templates only (RFC 6570 §1.2) with exactly the variables that the text
names, follows no redirect, and knows nothing of proxies or of any server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Callable

    import aiohttp

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"
TEMPLATES = {
    "apiUrl": frozenset[str](),
    "downloadUrl": frozenset({"accountId", "blobId", "type", "name"}),
    "uploadUrl": frozenset({"accountId"}),
    "eventSourceUrl": frozenset({"types", "closeafter", "ping"}),
}
"""URL properties of a Session, and the variables that each has to have (RFC 8620 §2)."""

_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_ABSOLUTE = re.compile(r"(https?|wss?)://[^/?#{}@\s]+(/\S*)?", re.ASCII)
ECHO = {"using": [CORE], "methodCalls": [["Core/echo", {"hello": True}, "e"]]}


class StrictError(Exception):
    """Something is not as the text has it."""


def absolute(url: object, *schemes: str) -> str:
    """The URL, if it is absolute with one of these schemes."""
    match = _ABSOLUTE.fullmatch(url) if isinstance(url, str) else None
    if match is None or match[1] not in (schemes or ("http", "https")):
        raise StrictError(f"not an absolute URL: {url!r}")
    return match[0]


def expand(template: str, **values: str) -> str:
    """A level-1 expansion; each variable is in the template and each one there has a value."""
    named = _EXPRESSION.findall(template)
    if set(named) != set(values):
        raise StrictError(f"{template} does not have exactly the variables {sorted(values)}")
    expanded = _EXPRESSION.sub(lambda match: quote(values[match[1]], safe=""), template)
    if "{" in expanded or "}" in expanded:
        raise StrictError(f"{template} is no template of level 1")
    return expanded


@dataclass
class StrictClient:
    """A client of one Session.

    Args:
        http: Sends the requests.
        session_url: Where the Session is.
        key: Its password, as a bearer token.
    """

    http: aiohttp.ClientSession
    session_url: str
    key: str = field(repr=False)
    session: dict[str, Any] = field(default_factory=dict)
    account: str = ""

    async def sign_in(self) -> dict[str, Any]:
        """Fetch the Session and check it."""
        response = await self._send("GET", self.session_url, 200)
        if response.content_type != "application/json" or "no-store" not in response.headers.get("Cache-Control", ""):
            raise StrictError("the Session is not JSON, or may be cached")
        self.session = await response.json()
        for name, variables in TEMPLATES.items():
            expand(absolute(self.session[name]), **dict.fromkeys(variables, "x"))
        for name, kind in {"username": str, "state": str, "accounts": dict, "primaryAccounts": dict}.items():
            if not isinstance(self.session[name], kind):
                raise StrictError(name)
        self.account = self.session["primaryAccounts"][MAIL]
        return self.session

    def capability(self, name: str, *, of_account: bool) -> dict[str, Any] | None:
        """The value of a capability, of the whole server or of the account."""
        account = self.session["accounts"][self.account]["accountCapabilities"]
        value: dict[str, Any] | None = (account if of_account else self.session["capabilities"]).get(name)
        return value

    async def echo(self) -> None:
        """An API request (RFC 8620 §3, §4)."""
        response = await self._send("POST", self.session["apiUrl"], 200, json=ECHO)
        self._check_echo(await response.json())

    async def upload(self, data: bytes, template: str = "") -> str:
        """Upload (§6.1); the blob's id."""
        url = expand(absolute(template or self.session["uploadUrl"]), accountId=self.account)
        response = await self._send("POST", url, 201, data=data, headers={"Content-Type": "text/x-strict"})
        answer = await response.json()
        if (answer["accountId"], answer["type"], answer["size"]) != (self.account, "text/x-strict", len(data)):
            raise StrictError(f"the upload is answered {answer}")
        return str(answer["blobId"])

    async def download(self, blob_id: str) -> bytes:
        """Download (§6.2), with a name and a type that have to be quoted."""
        values = {"accountId": self.account, "blobId": blob_id, "type": "text/x-strict", "name": "a/b ü.txt"}
        response = await self._send("GET", expand(self.session["downloadUrl"], **values), 200)
        if response.content_type != "text/x-strict":
            raise StrictError(f"the download is of type {response.content_type}")
        return await response.read()

    async def event(self, cause: Callable[[], None]) -> bytes:
        """Open the event source (§7.3), cause a change, and read to the end after the one event asked for."""
        url = expand(self.session["eventSourceUrl"], types="*", closeafter="state", ping="0")
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip, br"}
        response = await self._send("GET", url, 200, headers=headers)
        if response.content_type != "text/event-stream" or "Content-Encoding" in response.headers:
            raise StrictError("not an event stream")
        cause()
        return await response.read()

    async def echo_by_websocket(self, url: object) -> None:
        """An API request over a WebSocket (RFC 8887)."""
        headers = {"Authorization": f"Bearer {self.key}"}
        async with self.http.ws_connect(
            URL(absolute(url, "ws", "wss"), encoded=True), protocols=("jmap",), headers=headers
        ) as socket:
            if socket.protocol != "jmap":
                raise StrictError(f"the subprotocol is {socket.protocol}")
            await socket.send_json({"@type": "Request", "id": "r1", **ECHO})
            answer = await socket.receive_json()
        if (answer["@type"], answer["requestId"]) != ("Response", "r1"):
            raise StrictError(f"the request is answered {answer}")
        self._check_echo(answer)

    async def ticket(self, generation: object, revocation: object) -> None:
        """Get a ticket and take it back (Twake Mail's documentation)."""
        answer = await (await self._send("POST", absolute(generation), 200)).json()
        await self._send("DELETE", f"{absolute(revocation)}/{answer['value']}", 204)

    async def download_all(self, template: object, email_id: str) -> bytes:
        """All attachments of an email (Twake Mail's documentation)."""
        url = expand(absolute(template), accountId=self.account, emailId=email_id, name="all.zip")
        return await (await self._send("GET", url, 200)).read()

    def _check_echo(self, answer: dict[str, Any]) -> None:
        expected = (ECHO["methodCalls"], self.session["state"])
        if (answer["methodResponses"], answer["sessionState"]) != expected:
            raise StrictError(f"the echo is {answer}")

    async def _send(self, method: str, url: str, status: int, **kwargs: Any) -> aiohttp.ClientResponse:
        headers = {"Authorization": f"Bearer {self.key}", **kwargs.pop("headers", {})}
        response = await self.http.request(
            method, URL(absolute(url), encoded=True), headers=headers, allow_redirects=False, **kwargs
        )
        if response.status != status:
            raise StrictError(f"{method} {url}: {response.status} {await response.text()}")
        return response

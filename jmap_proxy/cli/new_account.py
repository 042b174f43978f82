"""An account that is not in the configuration yet: from what the user names to its section there."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from jmap_proxy.autodiscovery.address import MailAddress, parse_mail_address
from jmap_proxy.cli.config_writing import section, with_section
from jmap_proxy.cli.named_origins import named_origins
from jmap_proxy.config import parse_config
from jmap_proxy.errors import ConfigError
from jmap_proxy.origins import is_inside, locate
from jmap_proxy.presets import presets
from jmap_proxy.proxy.session.sessions import ACCEPT, MOST_REDIRECTS, SIZE_LIMIT
from jmap_proxy.proxy.session.target import REDIRECTS
from jmap_proxy.proxy.upstream.exchange import PROMPT, Call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jmap_proxy.autodiscovery.found import Found
    from jmap_proxy.cli.assembly import Assembly
    from jmap_proxy.cli.config_writing import ConfigFile
    from jmap_proxy.config import Account, Config
    from jmap_proxy.origins import Origin
    from jmap_proxy.proxy.forwarding import Plane
    from jmap_proxy.proxy.source import TokenSource
    from jmap_proxy.proxy.upstream.sender import Answer

FIELDS = (("Accept", ACCEPT), ("Accept-Encoding", "identity"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user says of an account that is to be set up; "" for what is not said.

    Attributes:
        who: A mail address, or a name for the account.
        server: Base URL, or Session URL.
        issuer: The identity provider.
        client_id: A client that is registered there.
        preset: The kind of server.
        name: Of the account.
    """

    who: str
    server: str = ""
    issuer: str = ""
    client_id: str = ""
    preset: str = ""
    name: str = ""

    @property
    def account_name(self) -> str:
        """Under which it will be configured."""
        return self.name or self.who

    @property
    def person(self) -> MailAddress | None:
        """Who has to sign in, None if only a name was given."""
        return parse_mail_address(self.who) if "@" in self.who else None

    def account(self) -> Account | None:
        """What is said of the account, None if it names no server. Pure. Raises ConfigError."""
        keys = {"server": self.server, "preset": self.preset, "issuer": self.issuer, "client_id": self.client_id}
        if self.preset and self.preset not in presets():
            raise ConfigError(f"there is no preset {self.preset!r}", hint=f"there is: {', '.join(presets())}")
        if not self.server and "server" not in (presets()[self.preset].account if self.preset else {}):
            return None
        return parse_config(section(self.account_name, keys)).account(self.account_name)


class NewAccount:
    """An account on its way into the configuration.

    Args:
        wanted: What the user says of it.
        file: Where it is to be written.
        text: What stands there now.
        found: What server and provider say.

    Attributes:
        name: Of the account.
        person: Who has to sign in, None if nobody was named.
    """

    def __init__(self, wanted: Wanted, file: ConfigFile, text: str, found: Found) -> None:
        self.name = wanted.account_name
        self.person = wanted.person
        self._file = file
        self._text = text
        self._found = found
        self._keys: dict[str, str | list[str]] = {
            "server": found.server,
            "preset": wanted.preset or found.preset,
            "issuer": found.issuer,
            "client_id": wanted.client_id,
        }

    @property
    def section(self) -> str:
        """As it is to be written."""
        return section(self.name, self._keys)

    def config(self) -> Config:
        """The configuration with this account. Raises ConfigError."""
        return with_section(self._text, self.name, self.section)[1]

    def check_writable(self) -> None:
        """See that it could be written, before anybody signs in. Blocks. Raises ConfigError."""
        self._file.check_writable(self.section)

    async def complete(self, assembly: Assembly, source: TokenSource) -> tuple[str, ...]:
        """Let the account allow the further origins that the user's Session names; what to tell of that.

        Raises:
            UpstreamError: the Session cannot be had.
        """
        account = assembly.config.account(self.name)
        if account.rewrite == "force":
            return ()
        url, body = await _session(await assembly.plane(self.name, source), self._found.session_url)
        keys, notes = allowances(account, named_origins(body, url))
        self._keys |= keys
        return notes

    def add(self) -> None:
        """Write it to the file. Blocks. Raises ConfigError."""
        self._file.add(self.name, self.section)

    def take_back(self) -> None:
        """Undo `add`. Blocks."""
        self._file.take_back()


def allowances(account: Account, named: Iterable[Origin]) -> tuple[dict[str, str | list[str]], tuple[str, ...]]:
    """The keys that let an account use what its Session names, and what to tell of them. Pure.

    Args:
        account: As it is so far.
        named: Origins besides the server's own.
    """
    foreign = [origin for origin in named if origin not in account.allowed_origins]
    if any(origin.is_loopback for origin in foreign) and not account.server_origin.is_loopback:
        return {"rewrite": "force"}, ('the server takes itself to be localhost, so rewrite = "force" is set',)
    inside = is_inside(account.server_origin.host)
    further = [str(each) for each in foreign if each.is_safe_for_secrets and (inside or not is_inside(each.host))]
    if not further:
        return {}, ()
    told = f"the server has further hosts, which get the token too: {', '.join(further)}"
    return {"upstream_origins": [*account.upstream_origins, *further]}, (told,)


async def set_up(assembly: Assembly, wanted: Wanted, file: ConfigFile, text: str) -> tuple[NewAccount, Found]:
    """Find what there is to know of an account that is not configured yet.

    Args:
        assembly: Makes what asks.
        wanted: What the user says.
        file: The configuration.
        text: What stands there now.

    Raises:
        ConfigError: what the user says does not fit together, or the file cannot be written.
        DiscoveryError, ProviderError: the server or its provider is not found.
    """
    account, person = wanted.account(), wanted.person
    finder = await assembly.finder()
    found = await finder.find(person, account.session_url if account else "", issuer=wanted.issuer)
    new = NewAccount(wanted, file, text, found)
    await asyncio.to_thread(new.check_writable)
    return new, found


async def _session(plane: Plane, url: str) -> tuple[str, bytes]:
    """Where the Session is and what it says, nothing where it is not; redirects lead to allowed origins only."""
    for _ in range(MOST_REDIRECTS + 1):
        async with plane.exchange.send(Call("GET", url, list(FIELDS), timeout=PROMPT)) as answer:
            if answer.status not in REDIRECTS:
                return url, await _read(answer) if answer.status == HTTPStatus.OK else b""
            with contextlib.suppress(ValueError):
                origin, rest = locate(answer.headers.get("Location", ""), url)
                url = f"{origin}{rest}"
    return url, b""


async def _read(answer: Answer) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > SIZE_LIMIT:
            return b""
    return bytes(body)

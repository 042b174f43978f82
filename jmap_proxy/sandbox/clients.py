"""The OAuth clients that the provider knows: the one of its settings, and those that registered (RFC 7591).

Values in memory: no HTTP. How a client proves who it is belongs to `client_authentication`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jmap_proxy.sandbox.provider_settings import ProviderSettings

LOOPBACK_ADDRESSES = frozenset({"127.0.0.1", "::1"})
LOOPBACK_HOSTS = LOOPBACK_ADDRESSES | {"localhost"}
CALLBACK_PATH = "/callback"


@dataclass(frozen=True)
class Client:
    """One client.

    Attributes:
        client_id: Its id.
        methods: How it may authenticate; names of RFC 7591 §2.
        secret: Its secret, empty if it has none.
        secret_expires_at: Seconds since the epoch, 0 for never.
        jwks: Its public keys (RFC 7517 §5), None if it has none.
        takes_redirect: Whether a redirect URI is one of its own.
        grant_types: What it may ask tokens with; None for all that its kind may.
        scope: The scopes it may ask for, separated by blanks; empty for all.
    """

    client_id: str
    methods: frozenset[str]
    secret: str = field(default="", repr=False)
    secret_expires_at: float = 0
    jwks: dict[str, Any] | None = field(default=None, repr=False)
    takes_redirect: Callable[[str], bool] = field(default=lambda _uri: False, repr=False)
    grant_types: frozenset[str] | None = None
    scope: str = ""

    @property
    def confidential(self) -> bool:
        """Whether it can prove who it is (RFC 6749 §2.1)."""
        return "none" not in self.methods

    def may(self, grant_type: str) -> bool:
        """Whether it may ask for tokens with a grant of this type."""
        if grant_type == "client_credentials" and not self.confidential:
            return False
        return self.grant_types is None or grant_type in self.grant_types


@dataclass
class Registered:
    """A client that registered.

    Attributes:
        client: What the other endpoints know of it.
        answer: What it was told; told again by RFC 7592.
        access_token: What opens its configuration endpoint.
    """

    client: Client
    answer: dict[str, Any] = field(repr=False)
    access_token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)


class Clients:
    """Every client of one provider.

    Args:
        settings: Has one client, read anew at each use.
    """

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings
        self._registered: dict[str, Registered] = {}

    def get(self, client_id: str) -> Client | None:
        """The client with an id, None if there is none."""
        if client_id and client_id == self._settings.client_id:
            return configured_client(self._settings)
        known = self._registered.get(client_id)
        return known.client if known else None

    def registered(self, client_id: str) -> Registered | None:
        """The client that registered and got this id, None if there is none."""
        return self._registered.get(client_id)

    def add(self, registered: Registered) -> None:
        """Know a client from now on."""
        self._registered[registered.client.client_id] = registered

    def remove(self, client_id: str) -> None:
        """Do not know a registered client any more."""
        del self._registered[client_id]

    def forget(self) -> None:
        """Do not know any registered client any more."""
        self._registered.clear()

    def __iter__(self) -> Iterator[Registered]:
        return iter(self._registered.values())


def configured_client(settings: ProviderSettings) -> Client:
    """The client of the settings; any loopback callback is its own."""
    return Client(
        settings.client_id,
        frozenset(settings.methods_of_client()),
        secret=settings.client_secret,
        jwks=settings.client_jwks,
        takes_redirect=is_loopback_callback,
    )


def is_loopback_callback(uri: str) -> bool:
    """Whether a redirect URI is a loopback one: any port, path `/callback` (RFC 8252 §7.3)."""
    parts = split_redirect(uri)
    if parts is None or parts.query:
        return False
    return parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and parts.path == CALLBACK_PATH


def redirect_matches(registered: str, asked: str) -> bool:
    """Whether a redirect URI is a registered one: the same, or for a loopback address the same but for its port.

    RFC 8252 §7.3; the name `localhost` is no address.
    """
    one, other = split_redirect(registered), split_redirect(asked)
    if one is None or other is None:
        return False
    if one.scheme == "http" and one.hostname in LOOPBACK_ADDRESSES:
        return _without_port(one) == _without_port(other)
    return registered == asked


def split_redirect(uri: str) -> SplitResult | None:
    """The parts of a redirect URI, None for one that can be none: with a fragment, a user or a bad port."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    return None if "#" in uri or "@" in parts.netloc else parts


def _without_port(parts: SplitResult) -> tuple[str, str | None, str, str]:
    return parts.scheme, parts.hostname, parts.path, parts.query

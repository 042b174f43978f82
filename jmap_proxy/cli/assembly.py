"""The composition root: builds the objects of each account from the configuration, and closes what it opened."""

from __future__ import annotations

import copy
import functools
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from jmap_proxy import files
from jmap_proxy.autodiscovery.finder import Finder
from jmap_proxy.autodiscovery.http import ServerHttp
from jmap_proxy.autodiscovery.srv import system_resolver
from jmap_proxy.cli.hook import SignInHook
from jmap_proxy.config import DEFAULT_SCOPES, NO_RESOURCE
from jmap_proxy.errors import ConfigError, StoreError
from jmap_proxy.local_keys import LocalKeys
from jmap_proxy.oauth.client import OAuthClient
from jmap_proxy.oauth.client_key import ClientKey, parse_client_key
from jmap_proxy.oauth.client_renewal import ClientRenewal
from jmap_proxy.oauth.discovery import Discovery
from jmap_proxy.oauth.http import ProviderHttp, provider_session
from jmap_proxy.oauth.sign_in import SignIn
from jmap_proxy.oauth.token_endpoint import TokenEndpoint
from jmap_proxy.origins import split_url
from jmap_proxy.paths import state_folder
from jmap_proxy.proxy.forwarding import Plane
from jmap_proxy.proxy.session.policy import Policy, mount_of
from jmap_proxy.proxy.session.sessions import Sessions
from jmap_proxy.proxy.upstream.exchange import Exchange
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.status.traffic import Traffic
from jmap_proxy.tls.certificate_folder import CertificateFolder
from jmap_proxy.tls.contexts import client_context
from jmap_proxy.tokens import TokenRefresher, create_token_refresher
from jmap_proxy.tokens.decision import PATIENCE
from jmap_proxy.tokens.keychain import Keychain, key_places
from jmap_proxy.tokens.store import FileTokenStore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType

    import aiohttp
    import dns.asyncresolver

    from jmap_proxy.config import Account, Config
    from jmap_proxy.proxy.source import TokenSource
    from jmap_proxy.tokens.outcome import Outcome
    from jmap_proxy.tokens.tokenset import TokenSet


class Assembly:
    """Makes an account's parts; to be used as an async context.

    Args:
        config: The configuration.
        state: Folder of the tokens and keys.
        clock: Epoch seconds.
        resolver: Makes what asks for SRV records.
    """

    def __init__(
        self,
        config: Config,
        state: Path | None = None,
        clock: Callable[[], float] = time.time,
        resolver: Callable[[], dns.asyncresolver.Resolver] = system_resolver,
    ) -> None:
        self.config = config
        self.clock = clock
        self._resolver = resolver
        self.state = state or state_folder(os.environ)
        self.local_keys = LocalKeys(self.state)
        self.data_key = Keychain(self.state, key_places(self.state, os.environ), config.store.key)
        self.hook = SignInHook(config.hooks.on_sign_in_needed)
        self.traffic = Traffic(clock)
        self._trust: dict[str, ssl.SSLContext] = {}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._providers: dict[str, tuple[ProviderHttp, Discovery]] = {}
        self._connections = AsyncExitStack()
        self._stack = AsyncExitStack()
        self._stack.push_async_callback(self._connections.aclose)
        self._stack.push_async_callback(self.hook.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the parts that were made here; with those that `branch` has made, the connections stay open."""
        await self._stack.aclose()

    def branch(self, config: Config) -> Assembly:
        """Makes parts by another configuration over the same connections; to be closed before this one."""
        twin = copy.copy(self)
        twin.config = config
        twin._stack = AsyncExitStack()  # noqa: SLF001 - of its own class
        return twin

    @property
    def certificates(self) -> CertificateFolder:
        """The local authority, and the certificate for https."""
        return CertificateFolder(self.state / "tls", self.data_key, self.clock)

    def store(self, name: str) -> FileTokenStore:
        """The token store of an account."""
        return FileTokenStore(self.state / "tokens", name, self.data_key)

    def client(self, name: str) -> OAuthClient:
        """The OAuth client of an account, as far as the configuration says who that is. Raises ConfigError."""
        account = self.config.account(name)
        return OAuthClient(
            issuer=account.issuer,
            client_id=account.client_id,
            client_secret=_read_secret(name, account),
            client_key=_read_key(name, account),
            method=account.client_auth,
            scopes=DEFAULT_SCOPES if account.scopes is None else account.scopes,
            resource="" if account.resource == NO_RESOURCE else account.resource,
        )

    async def token_endpoint(self, name: str, client: OAuthClient | None = None) -> TokenEndpoint:
        """The token endpoint of an account; asked as another client than the configured one if that is given."""
        http, discovery = await self._provider(self.config.account(name).ca_file)
        return TokenEndpoint(client or self.client(name), http, discovery, self.clock)

    async def sign_in(self, name: str, client: OAuthClient | None = None) -> SignIn:
        """The way to sign in to an account, as another client than the configured one if that is given."""
        http, discovery = await self._provider(self.config.account(name).ca_file)
        client = client or self.client(name)
        return SignIn(client, http, discovery, await self.token_endpoint(name, client), self.clock)

    async def provider_http(self, name: str) -> ProviderHttp:
        """What talks to an account's provider."""
        return (await self._provider(self.config.account(name).ca_file))[0]

    async def finder(self, ca_file: str = "") -> Finder:
        """What finds servers and their providers."""
        _, discovery = await self._provider(ca_file)
        return Finder(ServerHttp(await self._http(ca_file)), discovery, self._resolver)

    async def refresher(self, name: str, *, patience: float = PATIENCE, may_register: bool = True) -> TokenRefresher:
        """The token refresher of an account; closed with the assembly.

        Args:
            name: The account.
            patience: Seconds that a caller waits for a token.
            may_register: Whether to register anew where the provider has forgotten a client that registered itself.
        """
        client = self.client(name)
        http, discovery = await self._provider(self.config.account(name).ca_file)
        endpoint = TokenEndpoint(client, http, discovery, self.clock)
        renewal = ClientRenewal(endpoint, http, discovery, client.scopes, self.clock, may_register=may_register)

        async def grant(tokens: TokenSet) -> Outcome:
            outcome = await renewal.refresh(tokens)
            self.traffic.refreshed(name, outcome)
            return outcome

        refresher = await create_token_refresher(
            name,
            self.store(name),
            grant,
            clock=self.clock,
            patience=patience,
            replay=self.config.account(name).replay,
            lost=functools.partial(self.hook, name, self.store(name)),
        )
        self._stack.push_async_callback(refresher.close)
        return refresher

    async def plane(self, name: str, source: TokenSource) -> Plane:
        """What forwards an account's requests with the tokens of `source`."""
        account = self.config.account(name)
        server, path = split_url(account.session_url)
        policy = Policy(server, account.allowed_origins, account.rewrite, mount_of(path))
        http = await self._http(account.ca_file)
        exchange = Exchange(http, source, policy.allowed, first_byte=self.config.limits.first_byte)
        sessions = Sessions(name, exchange, account.session_url, policy)
        self._stack.push_async_callback(sessions.close)
        return Plane(exchange, sessions)

    async def _provider(self, ca_file: str) -> tuple[ProviderHttp, Discovery]:
        """What all accounts that trust the same authorities share towards providers: metadata is asked for once."""
        if ca_file not in self._providers:
            session = provider_session(self._tls(ca_file))
            http = ProviderHttp(await self._connections.enter_async_context(session))
            self._providers[ca_file] = http, Discovery(http, self.clock)
        return self._providers[ca_file]

    def _tls(self, ca_file: str) -> ssl.SSLContext:
        """Whom to trust; the system's authorities are read once for both kinds of sessions."""
        if ca_file not in self._trust:
            self._trust[ca_file] = client_context(ca_file)
        return self._trust[ca_file]

    async def _http(self, ca_file: str) -> aiohttp.ClientSession:
        """One session for all accounts that trust the same authorities."""
        if ca_file not in self._sessions:
            session = upstream_session(self._tls(ca_file))
            self._sessions[ca_file] = await self._connections.enter_async_context(session)
        return self._sessions[ca_file]


def _read_secret(name: str, account: Account) -> str:
    if not account.client_secret_file:
        return ""
    key = f"accounts.{name}.client_secret_file"
    try:
        return _read_file(key, account.client_secret_file).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{key}: {account.client_secret_file} is not text", hint="write it anew") from None


def _read_key(name: str, account: Account) -> ClientKey | None:
    if not account.client_key_file:
        return None
    key = f"accounts.{name}.client_key_file"
    raw = _read_file(key, account.client_key_file)
    try:
        return parse_client_key(raw)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}", hint="a private key as PEM or JWK belongs there") from None


def _read_file(key: str, name: str) -> bytes:
    path = Path(name).expanduser()
    try:
        raw = files.read_trusted(path)
    except StoreError as error:
        raise ConfigError(f"{key}: {error.detail}", hint=error.hint) from None
    if raw is None or not raw.strip():
        raise ConfigError(f"{key}: {path} is missing or empty", hint="write it there")
    return raw

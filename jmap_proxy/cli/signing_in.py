"""Signing in an account: sign in, check whose tokens they are by fetching the Session, and only then save.

What fails, fails as a whole: nothing is saved then, the grant is revoked, and a client registered for it is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from jmap_proxy import files
from jmap_proxy.cli.client_choice import Chosen, choose_client, person_of
from jmap_proxy.cli.same_person import check_known, check_same_person
from jmap_proxy.errors import (
    JmapProxyError,
    SignInError,
    StoreError,
    WrongPerson,
)
from jmap_proxy.proxy.fixed_token import FixedToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
    from typing import Any

    from jmap_proxy.autodiscovery.address import MailAddress
    from jmap_proxy.autodiscovery.found import Found
    from jmap_proxy.cli.assembly import Assembly
    from jmap_proxy.cli.new_account import NewAccount
    from jmap_proxy.local_keys import LocalKeys
    from jmap_proxy.oauth.sign_in import ReadLine, SignIn
    from jmap_proxy.proxy.session.session import Session
    from jmap_proxy.tokens import TokenSet
    from jmap_proxy.tokens.store import FileTokenStore

    Flow = Callable[[SignIn, str, str], Awaitable[TokenSet]]
    """Goes through the sign-in with the user: is given the way to sign in, the account, and who it shall be."""

Result = TypeVar("Result")

PATIENCE = 1800.0
"""Seconds that a user may take; the pages of providers live shorter, and a closed browser tells nobody."""

UNDO_TIME = 10.0
"""Seconds for telling the provider that a sign-in is not wanted after all."""

REFUSED = "the server refuses the token that the provider has just given"
COMPARE = "compare the account's scopes, resource and issuer with what the server wants"

MOST_TOLD = 3
"""Capabilities that were left out of the Session and are told of."""

MAIL_SCOPE = "urn:ietf:params:oauth:scope:mail"
GIVEN_ANYWAY = frozenset({"openid", "offline_access"})
"""Scopes that are seen by what comes with them, an ID token and a refresh token; providers often do not repeat them."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What a sign-in gave.

    Attributes:
        username: By the server's Session.
        account_id: Of the user's mail at the server.
        local_key: The new key, "" where the account has one already.
        notes: What the user is to be told.
    """

    username: str
    account_id: str
    local_key: str = field(repr=False)
    notes: tuple[str, ...] = ()


def by_browser(
    show_url: Callable[[str], None],
    read_line: ReadLine | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> Flow:
    """The sign-in with a browser on this machine, which `show_url` sends to a URL.

    Where the browser does not find the way back, `read_line` gives what the user pastes, and `tell` says what is wrong
    with that.
    """

    async def flow(sign_in: SignIn, account: str, login_hint: str) -> TokenSet:
        return await sign_in.by_browser(account, show_url, login_hint=login_hint, read_line=read_line, tell=tell)

    return flow


async def sign_in_and_save(assembly: Assembly, name: str, show_url: Callable[[str], None]) -> SignedIn:
    """Sign in an account of the configuration, by a browser on this machine; see `sign_in`."""
    return await sign_in(assembly, name, by_browser(show_url))


async def sign_in(
    assembly: Assembly,
    name: str,
    flow: Flow,
    *,
    found: Found | None = None,
    new: NewAccount | None = None,
    again: bool = False,
    patience: float = PATIENCE,
) -> SignedIn:
    """Sign an account in.

    Args:
        assembly: Makes its parts.
        name: The account, which the assembly's configuration knows.
        flow: Goes through it with the user.
        found: What is known of server and provider; without, what the configuration does not say is found out.
        new: The account if it is not in the configuration file yet; it is written there.
        again: Only the person who has signed in before may; no local key is made, as nobody would see it.
        patience: Seconds that the user may take.

    Raises:
        ConfigError, StoreError, ProviderError, SignInError, DiscoveryError, UpstreamError: nothing was saved, but for
            a StoreError that says that the account is signed in and lacks a local key.
    """
    store, keys = assembly.store(name), assembly.local_keys
    # What keeps the tokens from being saved is told before the user signs in, not after.
    await asyncio.to_thread(files.check_writable, store.path)
    stored = await store.load()
    if again and assembly.config.account(name).sign_in == "user":
        check_known(name, stored)
    has_key = await asyncio.to_thread(keys.has_key, name)
    person = new.person if new else person_of(name)
    chosen = await choose_client(assembly, name, stored, found)
    async with _undoing(assembly, name, chosen) as given:
        way = await assembly.sign_in(name, chosen.client)
        tokens = await _in_time(flow(way, name, str(person) if person else ""), patience)
        if chosen.registration is not None:
            tokens = msgspec.structs.replace(tokens, registration=chosen.registration)
        given.append(tokens)
        notes = check_scopes(chosen.wanted, tokens, chosen.client.scopes)
        source = FixedToken(tokens.access_token, REFUSED, COMPARE)
        if new:
            notes += await new.complete(assembly, source)
        async with assembly.branch(new.config() if new else assembly.config) as latest:
            session = await _checked_session(latest, name, source)
        check_person(person, session.username, named=new is not None)
        await _save(assembly, msgspec.structs.replace(tokens, username=session.username), new, again=again)
    key = "" if has_key or again else await _to_its_end(_first_key(keys, name))
    return SignedIn(session.username, session.mail_account, key, (*notes, *_in_short(session.dropped)))


async def _in_time(given: Awaitable[TokenSet], patience: float) -> TokenSet:
    limit = asyncio.timeout(patience)
    try:
        async with limit:
            return await given
    except TimeoutError:
        if not limit.expired():
            raise
        raise SignInError(
            f"nobody signed in within {patience:g} seconds",
            hint="run it again; the link of this time is of no use any more",
        ) from None


@contextlib.asynccontextmanager
async def _undoing(assembly: Assembly, name: str, chosen: Chosen) -> AsyncIterator[list[TokenSet]]:
    """Collects what was given; if something goes wrong, or the user stops it, the provider is told to forget that."""
    given: list[TokenSet] = []
    try:
        yield given
    except BaseException:
        with contextlib.suppress(JmapProxyError, TimeoutError):
            async with asyncio.timeout(UNDO_TIME):
                for tokens in given:
                    with contextlib.suppress(JmapProxyError):
                        await (await assembly.token_endpoint(name, chosen.client)).revoke(tokens)
                await chosen.remove_if_fresh()
        raise


async def _save(assembly: Assembly, tokens: TokenSet, new: NewAccount | None, *, again: bool) -> None:
    store = assembly.store(tokens.account)
    async with store.lock():
        if again:  # compared with what is there now: meanwhile another one may have signed in, or out
            check_same_person(await store.load(), tokens)
        await _to_its_end(_write(store, tokens, new))


async def _write(store: FileTokenStore, tokens: TokenSet, new: NewAccount | None) -> None:
    if new is None:
        await store.save(tokens)
        return
    await asyncio.to_thread(new.add)
    try:
        await store.save(tokens)
    except BaseException:
        await asyncio.to_thread(new.take_back)
        raise


async def _to_its_end(writing: Coroutine[Any, Any, Result]) -> Result:
    """What comes of what has begun to be written; who gives up meanwhile comes too late.

    A thread that writes cannot be stopped: without this, tokens would be there that have been revoked, in the place of
    those that were good.
    """
    task = asyncio.ensure_future(writing)
    while not task.done():
        try:
            await asyncio.wait((task,))
        except asyncio.CancelledError:
            if (this := asyncio.current_task()) is not None:
                this.uncancel()
    return task.result()


def check_scopes(wanted: tuple[str, ...], tokens: TokenSet, asked: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """What to tell of scopes that were wanted and not given (RFC 6749 §3.3). Pure.

    Args:
        wanted: What the client wished for.
        tokens: What it was given.
        asked: What it could ask for of that, None for all.

    Raises:
        SignInError: the one for mail is among them.
    """
    granted = tokens.scope.split() or (wanted if asked is None else asked)
    missing = [scope for scope in wanted if granted and scope not in granted and scope not in GIVEN_ANYWAY]
    if MAIL_SCOPE in missing:
        raise SignInError(
            f"the provider did not grant the scope for mail ({MAIL_SCOPE})",
            hint="sign in again and agree to it, or ask whoever runs the provider; granted was: " + " ".join(granted),
        )
    told = [f"not granted by the provider, although asked for: {' '.join(missing)}"] if missing else []
    if not tokens.renewable:
        told.append("the provider gave no refresh token: a new sign-in is needed when the token ends")
    return tuple(told)


def check_person(person: MailAddress | None, username: str, *, named: bool) -> None:
    """See that the right person has signed in. Pure.

    Args:
        person: Who it should be, None if nobody was named.
        username: Of the Session.
        named: The user has named this person for this sign-in. Else it is only the account's name, and a user name
            that is no address is taken to be the same one's.

    Raises:
        WrongPerson: it is another one.
    """
    if person is None or person.is_of(username) or not (named or "@" in username):
        return
    who = ascii(username) if username else "somebody whom the server does not name"
    other = person_of(username)
    way_out = shlex.quote(str(other)) if other else "NAME --server URL, with a NAME of your own choice"
    raise WrongPerson(
        f"the sign-in is that of {who}, not of {person}",
        hint=f"sign out in the browser and try again; if {who} is you, run: jmap-proxy login {way_out}",
    )


async def _checked_session(assembly: Assembly, name: str, source: FixedToken) -> Session:
    """The Session that the server gives for the new token; that it knows an account shows that the token counts."""
    plane = await assembly.plane(name, source)
    session = await plane.sessions.fetch()
    if not session.mail_account:
        raise SignInError(
            "the server answers the new token with a Session that has no accounts",
            hint="compare the account's scopes, resource and server with what the server wants",
        )
    return session


def _in_short(dropped: tuple[str, ...]) -> tuple[str, ...]:
    """What to tell of capabilities that were left out: a hostile server has thousands."""
    more = len(dropped) - MOST_TOLD
    return (*dropped[:MOST_TOLD], *(["and more like these; run: jmap-proxy doctor"] if more > 0 else []))


async def _first_key(keys: LocalKeys, name: str) -> str:
    try:
        return await asyncio.to_thread(keys.renew, name)
    except StoreError as error:
        raise StoreError(
            f"{name} is signed in, but its local key could not be made: {error.detail}",
            hint=f"{error.hint}, then run: jmap-proxy key {name}",
        ) from None

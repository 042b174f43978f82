from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.autodiscovery.address import parse_mail_address
from jmap_proxy.cli.signing_in import (
    MAIL_SCOPE,
    _in_short,
    _to_its_end,
    by_browser,
    check_person,
    check_scopes,
    sign_in,
    sign_in_and_save,
)
from jmap_proxy.errors import SignInError, StoreError, UpstreamError, WrongPerson
from jmap_proxy.sandbox import Fault
from tests.support.robot import RobotBrowser
from tests.tokens.builders import token_set

if TYPE_CHECKING:
    from jmap_proxy.tokens.datakey import DataKey
    from jmap_proxy.tokens.keychain import Keychain
    from tests.support.world import World


def nothing_saved(world: World) -> bool:
    """Whether neither tokens nor a key are there."""
    return not world.token_file.exists() and not (world.state / "local-keys.json").exists()


async def test_tokens_and_key_are_saved(world: World) -> None:
    """The stored tokens are good at the provider, the key opens the account, and no repr shows it."""
    signed_in = await world.sign_in()
    assert world.idp.check((await world.stored()).access_token) == "demo"
    assert world.assembly().local_keys.account_of(signed_in.local_key) == "alice"
    assert signed_in.username
    assert signed_in.account_id
    assert signed_in.local_key not in repr(signed_in)


async def test_a_second_sign_in_keeps_the_key(world: World) -> None:
    """New tokens, the same key: clients need not be touched."""
    first = await world.sign_in()
    before = await world.stored()
    assert (await world.sign_in()).local_key == ""
    assert world.assembly().local_keys.account_of(first.local_key) == "alice"
    assert before.sign_in_id != (await world.stored()).sign_in_id


async def test_an_address_is_the_login_hint(world: World) -> None:
    """An account named by its address signs that user in."""
    world.config.write_text(world.config.read_text().replace("accounts.alice", 'accounts."ann@example.com"'))
    shown: asyncio.Queue[str] = asyncio.Queue()
    async with world.assembly() as assembly:
        waiting = asyncio.create_task(sign_in_and_save(assembly, "ann@example.com", shown.put_nowait))
        assert "login_hint=ann%40example.com" in await shown.get()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize(
    "settings",
    [{"foreign_signature": True}, {"deny": True}, {"id_token_overrides": {"nonce": "x"}}, {"token_type": "DPoP"}],
)
async def test_nothing_is_saved_of_a_sign_in_that_fails(world: World, settings: dict[str, object]) -> None:
    """Neither tokens nor key."""
    for name, value in settings.items():
        setattr(world.idp.settings, name, value)
    with pytest.raises(SignInError):
        await world.sign_in()
    assert nothing_saved(world)


async def test_a_token_that_the_server_refuses_is_not_saved(world: World) -> None:
    """The tokens are tried before they are kept."""
    world.mail.refuse_all = True
    with pytest.raises(UpstreamError, match="refuses the token"):
        await world.sign_in()
    world.mail.refuse_all = False
    world.mail.faults.add("session", Fault(status=500))
    with pytest.raises(UpstreamError, match="500"):
        await world.sign_in()
    assert nothing_saved(world)


async def test_a_session_without_accounts_is_no_success(world: World) -> None:
    """Some servers answer 200 with an empty Session to a token that gives no access."""
    world.mail.settings.extra_session = {"accounts": {}, "primaryAccounts": {}}
    with pytest.raises(SignInError, match="no accounts"):
        await world.sign_in()
    assert nothing_saved(world)


async def test_a_failed_sign_in_leaves_the_old_one(world: World) -> None:
    """What was saved before stays as it was."""
    await world.sign_in()
    before = world.token_file.read_bytes()
    world.idp.settings.deny = True
    with pytest.raises(SignInError):
        await world.sign_in()
    assert world.token_file.read_bytes() == before


@pytest.mark.parametrize("file", ["tokens/alice.jwe", "local-keys.json"])
async def test_a_damaged_file_is_told_before_the_user_signs_in(world: World, file: str) -> None:
    """It is not overwritten, and no URL is shown."""
    await world.sign_in()
    damaged = world.state / file
    damaged.write_bytes(b"damaged")
    asked = len(world.idp.authorize_requests)
    with pytest.raises(StoreError, match=damaged.name):
        await world.sign_in()
    assert damaged.read_bytes() == b"damaged"
    assert len(world.idp.authorize_requests) == asked


async def test_a_closed_folder_is_told_before_the_user_signs_in(world: World) -> None:
    """Tokens that could not be saved are not asked for; no URL is shown."""
    world.state.mkdir(mode=0o500)
    if os.access(world.state, os.W_OK):  # root mostly may: a file in the folder's place is the next best
        world.state.rmdir()
        world.state.touch()
    with pytest.raises(StoreError, match=f"{world.state}"):
        await world.sign_in()
    assert world.idp.authorize_requests == []


async def test_a_closed_browser_is_not_waited_for_for_ever(world: World) -> None:
    """Nobody can tell that it was closed, but nobody needs that long either."""
    async with world.assembly() as assembly:
        with pytest.raises(SignInError, match=r"nobody signed in within 0\.05 seconds") as caught:
            await sign_in(assembly, "alice", by_browser(lambda _url: None), patience=0.05)
    assert caught.value.hint
    assert nothing_saved(world)


async def test_a_key_that_cannot_be_made_does_not_hide_the_sign_in(world: World) -> None:
    """The account is signed in; the error says so, and how to get a key."""
    browser = RobotBrowser()

    def open_and_spoil(url: str) -> None:
        (world.state / "local-keys.lock").mkdir(parents=True)
        browser.open(url)

    async with world.assembly() as assembly:
        with pytest.raises(StoreError, match="is signed in, but its local key") as caught:
            await sign_in_and_save(assembly, "alice", open_and_spoil)
        await browser.pages()
    assert "jmap-proxy key alice" in caught.value.hint
    assert (await world.stored()).account == "alice"


class SlowKeys:
    """The data keys of a disk that takes its time: to be waited for when something is written.

    Args:
        keys: The keys.
    """

    def __init__(self, keys: Keychain) -> None:
        self._keys = keys
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def current(self) -> DataKey:
        """What is written with, after a while."""
        self.asked.set()
        assert self.go_on.wait(30)
        return self._keys.current()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keys, name)


async def test_what_is_saved_is_not_revoked(world: World) -> None:
    """Whoever is stopped in the middle of the write comes too late: what is on disk must be good."""
    await world.sign_in()
    before = await world.stored()
    browser = RobotBrowser()
    async with world.assembly() as assembly:
        assembly.data_key = keys = SlowKeys(assembly.data_key)  # type: ignore[assignment]
        signing_in = asyncio.create_task(sign_in_and_save(assembly, "alice", browser.open))
        assert await asyncio.to_thread(keys.asked.wait, 30)
        signing_in.cancel()
        await asyncio.sleep(0)
        keys.go_on.set()
        assert (await signing_in).username == "demo"
        await browser.pages()
    stored = await world.stored()
    assert stored.sign_in_id != before.sign_in_id
    assert world.idp.check(stored.access_token) == "demo"
    assert world.idp.revocations == []


async def test_what_cannot_be_saved_is_revoked(world: World) -> None:
    """The provider need not keep what nobody has."""
    await world.sign_in()
    before = world.token_file.read_bytes()
    browser = RobotBrowser()

    def open_and_spoil(url: str) -> None:
        world.token_file.with_suffix(".previous").mkdir()
        browser.open(url)

    async with world.assembly() as assembly:
        with pytest.raises(StoreError):
            await sign_in_and_save(assembly, "alice", open_and_spoil)
        await browser.pages()
    assert len(world.idp.revocations) == 1
    assert world.token_file.read_bytes() == before


async def test_who_has_signed_in_is_known_afterwards(world: World) -> None:
    """By the subject and by the user name, through refreshes; a sign-in that only renews compares with them."""
    world.mail.settings.usernames = {"demo": "demo@example.com"}
    await world.sign_in()
    tokens = await world.stored()
    assert (tokens.subject, tokens.username) == ("demo", "demo@example.com")
    await world.age(7200)
    assert (await world.invoke("token", "alice")).code == 0
    tokens = await world.stored()
    assert (tokens.generation, tokens.username) == (2, "demo@example.com")


async def test_a_sign_in_that_only_renews(world: World) -> None:
    """There must be one before, and it must be the same person's; no key is made."""
    browser = RobotBrowser()
    async with world.assembly() as assembly:
        with pytest.raises(SignInError, match="nobody can tell who it should be"):
            await sign_in(assembly, "alice", by_browser(browser.open), again=True)
        await world.sign_in()
        assembly.local_keys.remove("alice")
        renewed = await sign_in(assembly, "alice", by_browser(browser.open), again=True)
        world.idp.settings.user = "mallory"
        with pytest.raises(WrongPerson):
            await sign_in(assembly, "alice", by_browser(browser.open), again=True)
        await browser.pages()
    assert (renewed.username, renewed.local_key) == ("demo", "")
    assert not assembly.local_keys.has_key("alice")


ALICE = parse_mail_address("alice@example.com")


@pytest.mark.parametrize(
    ("username", "named"),
    [("alice@example.com", True), ("Alice@Example.COM", True), ("alice", True), ("u4711", False), ("", False)],
)
def test_the_right_person(username: str, *, named: bool) -> None:
    """By address or what stands before the "@"; of an account that is only named so, any name that is no address."""
    check_person(ALICE, username, named=named)
    check_person(None, "bob@example.com", named=named)


@pytest.mark.parametrize(
    ("username", "named", "way_out"),
    [
        ("bob@example.com", True, "jmap-proxy login bob@example.com"),
        ("bob@example.com", False, "jmap-proxy login bob@example.com"),
        ("alice@example.org", True, "jmap-proxy login alice@example.org"),
        ("u4711", True, "jmap-proxy login NAME --server URL"),
        ("", True, "jmap-proxy login NAME --server URL"),
    ],
)
def test_the_wrong_person(username: str, way_out: str, *, named: bool) -> None:
    """Who it is, and what to do if that is right."""
    with pytest.raises(WrongPerson, match=f"of {username!r}|does not name") as caught:
        check_person(ALICE, username, named=named)
    assert way_out in caught.value.hint


@pytest.mark.parametrize("username", ["\x1b[2Jbob", "\x1b[2Jbob@example.com", "$(reboot)@example.com", "b\u202eob"])
def test_the_servers_words_are_words(username: str) -> None:
    """They do nothing to the terminal, nor to the shell that the hint is pasted into."""
    with pytest.raises(WrongPerson) as caught:
        check_person(ALICE, username, named=True)
    told = caught.value.detail + caught.value.hint
    assert told.isprintable()
    assert "login $" not in told


@pytest.mark.parametrize(
    ("asked", "granted", "told"),
    [
        (("openid", MAIL_SCOPE), f"{MAIL_SCOPE}", 0),
        (("openid", MAIL_SCOPE), "", 0),
        ((MAIL_SCOPE, "contacts", "files"), f"files {MAIL_SCOPE}", 1),
        ((), "more", 0),
    ],
)
def test_narrowed_scopes_are_told(asked: tuple[str, ...], granted: str, told: int) -> None:
    """None told means all (RFC 6749 §5.1); what shows by itself is not asked for again."""
    notes = check_scopes(asked, token_set(scope=granted))
    assert len(notes) == told
    assert all("contacts" in note for note in notes)


def test_scopes_that_a_registration_left_out_are_told() -> None:
    """They were not even asked for; where the provider says nothing of scopes, it gave those that were."""
    asked = (MAIL_SCOPE,)
    for granted in ("", MAIL_SCOPE):
        (note,) = check_scopes((MAIL_SCOPE, "contacts"), token_set(scope=granted), asked)
        assert "contacts" in note
    with pytest.raises(SignInError, match="scope for mail"):
        check_scopes((MAIL_SCOPE, "contacts"), token_set(scope=""), ("contacts",))


def test_without_the_scope_for_mail_there_is_no_sign_in() -> None:
    """What was granted is told."""
    with pytest.raises(SignInError, match="scope for mail") as caught:
        check_scopes((MAIL_SCOPE, "contacts"), token_set(scope="contacts"))
    assert caught.value.hint.endswith("granted was: contacts")


def test_a_missing_refresh_token_is_told() -> None:
    """The user will be asked again soon."""
    assert "new sign-in is needed" in check_scopes((), token_set(refresh_token=""))[0]


async def test_an_account_without_issuer_finds_it(world: World) -> None:
    """The server is asked; nothing is written to the configuration."""
    world.mail.settings.protected_resource = {"authorization_servers": [world.idp.issuer]}
    text = world.config.read_text().replace(f'issuer = "{world.idp.issuer}"', "")
    world.config.write_text(text)
    await world.sign_in()
    assert (await world.stored()).issuer == world.idp.issuer
    assert world.idp.authorize_requests[-1]["resource"] == world.mail.base_url
    assert world.config.read_text() == text


async def test_a_resource_can_be_left_out(world: World) -> None:
    """Whatever the server calls itself."""
    world.mail.settings.protected_resource = {"authorization_servers": [world.idp.issuer]}
    world.write_config('resource = "none"')
    world.config.write_text(world.config.read_text().replace(f'issuer = "{world.idp.issuer}"', ""))
    await world.sign_in()
    assert "resource" not in world.idp.authorize_requests[-1]


async def test_somebody_else_is_not_signed_in_to_an_account_of_that_name(world: World) -> None:
    """The grant is taken back at once."""
    world.config.write_text(world.config.read_text().replace("accounts.alice", 'accounts."ann@example.com"'))
    world.idp.settings.heed_login_hint = False
    world.idp.settings.user = "bob@example.com"
    browser = RobotBrowser()
    async with world.assembly() as assembly:
        with pytest.raises(WrongPerson):
            await sign_in_and_save(assembly, "ann@example.com", browser.open)
        await browser.pages()
    assert len(world.idp.revocations) == 1
    assert not (world.state / "tokens" / "ann@example.com.jwe").exists()


def test_what_was_left_out_is_told_in_short() -> None:
    """A hostile server could fill screens."""
    assert _in_short(("a", "b", "c")) == ("a", "b", "c")
    assert _in_short(tuple("abcdefgh")) == ("a", "b", "c", "and more like these; run: jmap-proxy doctor")


@pytest.mark.parametrize("error", [None, StoreError("the disk is full")])
async def test_what_is_written_is_not_interrupted(error: StoreError | None) -> None:
    """However often it is tried; what comes of it comes, and the cancellation is forgotten."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def writing() -> str:
        begun.set()
        await go.wait()
        if error is not None:
            raise error
        return "written"

    task = asyncio.create_task(_to_its_end(writing()))
    await begun.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    go.set()
    if error is None:
        assert await task == "written"
    else:
        with pytest.raises(StoreError, match="the disk is full"):
            await task
    assert task.cancelling() == 0

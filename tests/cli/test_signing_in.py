from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.cli.signing_in import FixedToken, sign_in_and_save
from jmap_proxy.errors import SignInError, StoreError, UpstreamError, UpstreamRefusedToken
from jmap_proxy.sandbox import Fault
from tests.support.robot import RobotBrowser

if TYPE_CHECKING:
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


async def test_a_fixed_token_has_no_successor() -> None:
    """It is given as it is; after a 401 there is a clear error with a hint and without the token."""
    source = FixedToken("secret-token")
    assert await source.ensure_valid_token() == "secret-token"
    with pytest.raises(UpstreamRefusedToken) as caught:
        await source.replace_rejected("secret-token")
    assert caught.value.hint
    assert "secret-token" not in str(caught.value.problem())

"""The token's life at a certified provider that rotates refresh tokens and revokes the grant when one comes twice.

The mail server asks that provider about each token, so a grant that is gone takes the living access token along.
Where time matters as it passes, the proxy is a process of its own and tokens live seconds; elsewhere its clock is set.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.sandbox import MailServer
from tests.acceptance.troubles import DELAYED, GONE, REFUSED_CLIENT, SERVED
from tests.e2e.browser import Browser
from tests.e2e.fronted_provider import LIFE, FrontedProvider
from tests.e2e.life import NAME, Life
from tests.e2e.lossy import Fault, Lossy, new_front
from tests.support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

SHORT = 3
"""Seconds that a token lives where a test lives through its end."""

NEVER = 1000
"""As a fault's count: all requests."""


@pytest.fixture(scope="module")
def front_port() -> int:
    """Where the front listens, for all tests: the provider is known by it."""
    return new_front()[0]


@pytest.fixture(scope="module")
def fronted(tmp_path_factory: pytest.TempPathFactory, front_port: int) -> Iterator[FrontedProvider]:
    """The provider."""
    folder = tmp_path_factory.mktemp("provider")
    with FrontedProvider(folder, issuer=f"http://127.0.0.1:{front_port}") as provider:
        yield provider


@pytest.fixture
async def life(tmp_path: Path, fronted: FrontedProvider, front_port: int) -> AsyncIterator[Life]:
    """An account that is not signed in yet; tokens live an hour."""
    fronted.configure(token_life=LIFE)
    async with Lossy(front_port, fronted.address) as front, MailServer(fronted.user_of) as mail:
        life = Life(tmp_path, fronted, front, mail)
        yield life
        await life.close()


@pytest.fixture
def clock() -> Clock:
    """The right time, until the test sets it."""
    return Clock(time.time())


async def test_generations_with_restarts_between(life: Life) -> None:
    """Tokens are renewed again and again, by one process after the other; each refresh token is used once."""
    life.provider.configure(token_life=SHORT)
    await life.sign_in()
    for times in (2, 4):
        async with life.served() as proxy:
            assert await proxy.ask_while(SERVED, _renewed(life, times)) == SERVED
            await proxy.stop()
    tokens = await life.stored()
    await asyncio.to_thread(life.provider.outlive, tokens.access_token)
    async with life.served() as proxy:
        assert await proxy.ask() == SERVED
        generation = (await proxy.health())["generation"]
    sent = [exchange.sent for exchange in life.front.exchanges]
    assert life.front.results == ["ok"] * (generation - 1)
    assert len(set(sent)) == len(sent) >= 5


async def test_two_proxies_and_commands_share_a_store(life: Life) -> None:
    """Not one refresh token is used twice, and each generation takes one request, whoever makes it."""
    life.provider.configure(token_life=SHORT)
    first = await life.sign_in()
    done = asyncio.Event()

    async def print_tokens() -> list[str]:
        printed = []
        while not done.is_set():
            ended = await life.run("token")
            assert ended.code == 0, ended.err
            printed.append(ended.out.strip())
        return printed

    async with life.served() as one, life.served() as other:
        commands = [asyncio.create_task(print_tokens()) for _ in range(2)]

        def enough() -> bool:
            return len(life.front.results) >= 4 or any(command.done() for command in commands)

        try:
            asked = await asyncio.gather(*(proxy.ask_while(SERVED, enough) for proxy in (one, other)))
        finally:
            done.set()
            printed = await asyncio.gather(*commands)
        assert asked == [SERVED] * 2
        await one.stop()
        await other.stop()
    assert life.front.results == ["ok"] * ((await life.stored()).generation - 1)
    given = {first.access_token, *(exchange.access_token for exchange in life.front.exchanges)}
    assert all(tokens and set(tokens) <= given for tokens in printed)


async def test_a_replay_revokes_the_grant(life: Life) -> None:
    """The trap: who sends a spent refresh token once more loses the new tokens too, and the living access token."""
    first = await life.sign_in()
    renewed = life.provider.refresh(first.refresh_token).json()
    alive = (first.access_token, renewed["access_token"])
    assert [life.provider.user_of(token) for token in alive] == [NAME, NAME]
    assert life.provider.refresh(first.refresh_token).json()["error"] == "invalid_grant"
    assert [life.provider.user_of(token) for token in alive] == [None, None]
    assert life.provider.refresh(renewed["refresh_token"]).json()["error"] == "invalid_grant"


async def test_a_proxy_that_replays_falls_into_the_trap(life: Life, clock: Clock) -> None:
    """With `replay = "grace"`, which is wrong for this provider, a lost answer costs the living token at once."""
    life.configure('replay = "grace"')
    first = await life.sign_in()
    async with life.served_here(clock) as proxy:
        assert await proxy.ask() == SERVED
        clock.now = first.expires_at - 30
        life.front.add(Fault(lose="answer"))
        assert await proxy.ask_while(SERVED) == GONE
    assert life.front.results == ["ok", "invalid_grant"]
    assert life.provider.user_of(first.access_token) is None


async def test_an_answer_lost_after_rotation(life: Life, clock: Clock) -> None:
    """The living token is served to its end, which a replay would have cost; then the loss is told as what it is."""
    first = await life.sign_in()
    async with life.served_here(clock) as proxy:
        clock.now = first.expires_at - 30
        life.front.add(Fault(lose="answer"))
        assert [await proxy.ask() for _ in range(3)] == [SERVED] * 3
        clock.now = first.expires_at - 1
        assert [await proxy.ask() for _ in range(3)] == [SERVED] * 3
        assert life.front.met == 1
        assert (await proxy.health())["answer_lost"] is True
        assert life.provider.user_of(first.access_token) == NAME
        clock.now = first.expires_at
        assert [await proxy.ask() for _ in range(3)] == [GONE] * 3
        assert "was lost, and it was spent then" in proxy.told
        assert (await proxy.health())["state"] == "needs_login"
    assert life.front.results == ["ok", "invalid_grant"]
    lost = life.front.exchanges[-2]
    assert life.provider.user_of(lost.access_token) is None
    assert life.provider.refresh(lost.refresh_token).json()["error"] == "invalid_grant"


async def test_an_answer_lost_before_the_provider_acted(life: Life, clock: Clock) -> None:
    """Nobody can tell it from the other loss, so the living token is used up first; the sign-in is kept."""
    first = await life.sign_in()
    async with life.served_here(clock) as proxy:
        clock.now = first.expires_at - 30
        life.front.add(Fault(lose="request"))
        assert [await proxy.ask() for _ in range(3)] == [SERVED] * 3
        clock.now = first.expires_at - 1
        assert [await proxy.ask() for _ in range(3)] == [SERVED] * 3
        assert life.front.met == 1
        clock.now = first.expires_at
        assert [await proxy.ask() for _ in range(3)] == [SERVED] * 3
    assert life.front.results == ["ok"]
    assert (await life.stored()).generation == 2


@pytest.mark.parametrize("status", [0, 500, 502, 503, 429], ids=lambda status: str(status or "refused"))
async def test_a_provider_that_is_down(status: int, life: Life, clock: Clock) -> None:
    """Served while the token lives, then put off; well again with the provider, as it was signed in."""
    first = await life.sign_in()
    async with life.served_here(clock) as proxy:
        clock.now = first.expires_at - 30
        if status:
            life.front.add(Fault(status=status, count=NEVER))
        else:
            await life.front.refuse()
        assert [await proxy.ask() for _ in range(3)] == [SERVED] * 3
        clock.now = first.expires_at
        assert [await proxy.ask() for _ in range(3)] == [DELAYED] * 3
        assert (await proxy.health())["state"] == "retrying"
        if status:
            life.front.heal()
        else:
            await life.front.listen()
        clock.now += 61
        assert await proxy.ask() == SERVED
    assert life.front.results == ["ok"]


async def test_a_provider_that_hangs(life: Life, clock: Clock) -> None:
    """No client waits longer than clients wait, and the answer counts when it comes in the end."""
    first = await life.sign_in()
    hang = life.front.add(Fault(hold=asyncio.Event()))
    async with life.served_here(clock) as proxy:
        clock.now = first.expires_at - 200
        assert [await proxy.ask() for _ in range(3)] == [SERVED] * 3
        clock.now = first.expires_at
        assert [await proxy.ask() for _ in range(3)] == [DELAYED] * 3
        assert life.front.met == 1
        assert hang.hold is not None
        hang.hold.set()
        assert await proxy.ask_while(DELAYED) == SERVED
    assert life.front.results == ["ok"]


async def test_retry_after_is_honoured(life: Life, clock: Clock) -> None:
    """A provider that says when it wants to be asked again is not asked before that."""
    first = await life.sign_in()
    life.front.add(Fault(status=429, headers={"Retry-After": "900"}, count=NEVER))
    async with life.served_here(clock) as proxy:
        asked_at = clock.now = first.expires_at - 30
        assert await proxy.ask() == SERVED
        for later in (300, 899):
            clock.now = asked_at + later
            assert [await proxy.ask() for _ in range(3)] == [DELAYED] * 3
        assert life.front.met == 1
        life.front.heal()
        clock.now = asked_at + 901
        assert await proxy.ask() == SERVED
    assert life.front.results == ["ok"]


async def test_a_wrong_client_secret(life: Life, clock: Clock) -> None:
    """The provider refuses the client, not the sign-in: the tokens stay, and the right secret mends it."""
    life.configure(f'client_secret_file = "{life.secret}"', client_id="jmap-confidential")
    _write_secret(life.secret, "e2e: s%cret+")
    first = await life.sign_in()
    _write_secret(life.secret, "wrong")
    async with life.served_here(clock) as proxy:
        clock.now = first.expires_at - 30
        assert [await proxy.ask() for _ in range(3)] == [SERVED] * 3
        clock.now = first.expires_at
        assert [await proxy.ask() for _ in range(3)] == [REFUSED_CLIENT] * 3
        assert (await proxy.health())["state"] == "client_refused"
    assert set(life.front.results) == {"invalid_client"}
    assert await life.stored() == first
    _write_secret(life.secret, "e2e: s%cret+")
    async with life.served_here(clock) as proxy:
        assert await proxy.ask() == SERVED
    assert life.front.results[-1] == "ok"


async def test_a_wrong_client_id(life: Life, clock: Clock) -> None:
    """A refresh token is not sent in the name of another client: the tokens stay, and the right id mends it."""
    first = await life.sign_in()
    life.configure(client_id="jmap-chain")
    async with life.served_here(clock) as proxy:
        assert await proxy.ask() == SERVED
        clock.now = first.expires_at
        assert await proxy.ask() == REFUSED_CLIENT
        assert "another issuer or client_id" in proxy.told
    assert life.front.results == []
    assert await life.stored() == first
    life.configure()
    async with life.served_here(clock) as proxy:
        assert await proxy.ask() == SERVED
    assert life.front.results == ["ok"]


async def test_a_provider_that_comes_back_as_another(life: Life) -> None:
    """With other keys and no memory: the loss is told, and a sign-in mends the proxy that runs, keys checked anew."""
    await life.sign_in()
    async with life.served() as proxy:
        assert await proxy.ask() == SERVED
        key = life.provider.public_key.read_bytes()
        await asyncio.to_thread(life.provider.restart)
        assert life.provider.public_key.read_bytes() != key
        assert await proxy.ask() == GONE
        login = await life.start("login", NAME, "--no-browser")
        await asyncio.to_thread(Browser().visit, await login.line())
        ended = await login.end()
        assert ended.code == 0, ended.err
        assert await proxy.ask_while(GONE) == SERVED
        assert (await proxy.health())["state"] == "ok"


@pytest.mark.parametrize("acted", [False, True], ids=["before the provider acted", "after it"])
async def test_kill_in_the_refresh(life: Life, *, acted: bool) -> None:
    """Who comes after uses the living token up; the sign-in is lost only if it was spent, and that is told."""
    life.provider.configure(token_life=2 * SHORT)
    first = await life.sign_in()
    held = life.front.add(Fault(lose="answer" if acted else "request", hold=asyncio.Event()))
    async with life.served() as proxy:
        await proxy.ask_while(SERVED, held.met.is_set)
        assert proxy.program is not None
        await proxy.program.end(signal.SIGKILL)
    assert held.hold is not None
    held.hold.set()
    last = life.front.add(Fault(hold=asyncio.Event()))
    async with life.served() as proxy:
        client = asyncio.create_task(proxy.ask_while(SERVED, lambda: len(life.front.results) > acted))
        await last.met.wait()
        # by the clock of either side it had come to its end: the provider counts whole seconds
        assert life.provider.user_of(first.access_token) is None or time.time() >= first.expires_at
        assert last.hold is not None
        last.hold.set()
        assert await client == (GONE if acted else SERVED)
        assert ("was lost, and it was spent then" in proxy.told) is acted
    assert life.front.results == (["ok", "invalid_grant"] if acted else ["ok"])


async def test_signing_out_revokes_at_the_provider(life: Life) -> None:
    """Neither refresh nor access token is good afterwards, and a proxy that runs lets nobody in any more."""
    tokens = await life.sign_in()
    async with life.served() as proxy:
        assert await proxy.ask() == SERVED
        ended = await life.run("logout")
        assert ended.code == 0
        assert "the provider has revoked the sign-in" in ended.out
        assert life.provider.user_of(tokens.access_token) is None
        assert life.provider.refresh(tokens.refresh_token).json()["error"] == "invalid_grant"
        assert await proxy.ask_while(SERVED) == "401 (key-refused)"


async def test_a_state_folder_from_a_backup(life: Life, clock: Clock) -> None:
    """Its refresh token is spent: the provider takes it for stolen, and the client and the operator are told."""
    first = await life.sign_in()
    backup = life.state.with_name("backup")
    shutil.copytree(life.state, backup)
    clock.now = first.expires_at
    async with life.served_here(clock) as proxy:
        assert await proxy.ask() == SERVED
    renewed = await life.stored()
    shutil.rmtree(life.state)
    backup.rename(life.state)
    async with life.served_here(clock) as proxy:
        assert await proxy.ask() == GONE
        assert "the provider refused the refresh token (invalid_grant)" in proxy.told
        assert (await proxy.health())["state"] == "needs_login"
    assert life.front.results == ["ok", "invalid_grant"]
    assert life.provider.user_of(renewed.access_token) is None
    again = await life.sign_in()
    async with life.served_here(clock) as proxy:
        assert again.generation == 1
        assert await proxy.ask() == SERVED


def _renewed(life: Life, times: int) -> Callable[[], bool]:
    """Tells whether the provider has renewed the tokens so often."""
    return lambda: len(life.front.results) >= times


def _write_secret(path: Path, secret: str) -> None:
    path.write_text(secret)
    path.chmod(0o600)

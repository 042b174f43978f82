"""The configuration exchanged while the proxy runs: what stays, what comes, what goes."""

from __future__ import annotations

import asyncio
import ssl
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
import structlog
from aiohttp import ClientSession

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.running import RunningProxy, reloadable_proxy
from jmap_proxy.cli.signing_in import sign_in_and_save
from jmap_proxy.config import Account, Config, Hooks, Listen, load_config
from jmap_proxy.errors import ConfigError, StoreError
from jmap_proxy.sandbox import Fault
from tests.support.certificates import private_authority
from tests.support.ports import free_port
from tests.support.robot import RobotBrowser
from tests.support.world import basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.world import World

BIG = 48 << 20
"""Bytes of a download that no buffers on its way hold."""


@dataclass
class Running:
    """A proxy for alice and bob, and their clients."""

    world: World
    proxy: RunningProxy
    config: Config
    client: ClientSession
    keys: dict[str, str]

    @property
    def origin(self) -> str:
        """Of the shared http listener."""
        return self.proxy.addresses.http

    async def take_up(self, **accounts: Account | None) -> None:
        """Go on with these accounts exchanged, None to remove one."""
        merged = {**self.config.accounts, **accounts}
        self.config = msgspec.structs.replace(
            self.config, accounts={name: account for name, account in merged.items() if account is not None}
        )
        await self.proxy.take_up(self.config)

    async def listen(self, **changes: Any) -> None:
        """Go on with these settings in [listen] exchanged."""
        self.config = msgspec.structs.replace(
            self.config, listen=msgspec.structs.replace(self.config.listen, **changes)
        )
        await self.proxy.take_up(self.config)

    def changed(self, name: str) -> Account:
        """The account with another setting, that changes nothing for a client."""
        return msgspec.structs.replace(self.config.accounts[name], upstream_origins=("https://files.example.com",))

    async def session(self, name: str, origin: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
        """The account's Session, or the problem."""
        url = f"{origin or self.origin}/.well-known/jmap"
        async with self.client.get(url, headers={**basic(self.keys[name]), **headers}) as response:
            return response.status, await response.json(content_type=None)

    async def ready(self) -> list[str]:
        """The accounts that /readyz tells of."""
        async with self.client.get(f"{self.proxy.addresses.admin}/readyz") as response:
            return list((await response.json())["accounts"])

    @asynccontextmanager
    async def downloading(self, name: str) -> AsyncIterator[aiohttp.StreamReader]:
        """A download that has begun and goes on when it is read."""
        url = (await self.session(name))[1]["downloadUrl"].partition("?")[0]
        url = url.format_map({"accountId": "u-demo", "blobId": f"big-{BIG}", "name": "n"})
        async with self.client.get(url, headers=basic(self.keys[name])) as response:
            assert await response.content.readexactly(256) == bytes(range(256))
            yield response.content

    @asynccontextmanager
    async def listening(self, name: str) -> AsyncIterator[aiohttp.StreamReader]:
        """An event stream that works."""
        url = (await self.session(name))[1]["eventSourceUrl"]
        url = url.replace("{types}", "*").replace("{closeafter}", "no").replace("{ping}", "0")
        async with self.client.get(url, headers=basic(self.keys[name])) as response:
            await self.told(response.content)
            yield response.content

    async def told(self, stream: aiohttp.StreamReader) -> None:
        """See that a state event comes."""
        self.world.mail.push_state()
        assert (await stream.readuntil(b"\n\n")).startswith(b"event: state\n")


async def rest_of(download: aiohttp.StreamReader) -> int:
    """How many bytes still come."""
    count = 0
    async for chunk in download.iter_any():
        count += len(chunk)
    return count


@pytest.fixture
async def running(world: World, client: ClientSession) -> AsyncIterator[Running]:
    """Give a running proxy of two accounts that are signed in."""
    account = load_config(world.config).accounts["alice"]
    config = Config(listen=Listen(http="127.0.0.1:0", admin="127.0.0.1:0"), accounts={"alice": account, "bob": account})
    assembly = Assembly(config, world.state)
    keys = {name: await signed_in(assembly, name) for name in config.accounts}
    async with asyncio.timeout(50), assembly, reloadable_proxy(assembly) as proxy:
        yield Running(world, proxy, config, client, keys)


async def signed_in(assembly: Assembly, name: str) -> str:
    """Sign an account in; its local key."""
    browser = RobotBrowser()
    key = (await sign_in_and_save(assembly, name, browser.open)).local_key
    await browser.pages()
    return key


@pytest.fixture
def no_token_requests(world: World, running: Running) -> Iterator[None]:
    """See that the provider was not asked for a token after the start."""
    assert running.proxy.addresses.http
    before = len(world.idp.token_requests)
    yield
    assert len(world.idp.token_requests) == before


@pytest.mark.usefixtures("no_token_requests")
async def test_what_an_unchanged_account_does_survives(running: Running) -> None:
    """A download in flight, an event stream and the connections, while everything around them is exchanged."""
    async with running.downloading("alice") as download, running.listening("alice") as stream:
        await running.take_up(bob=running.changed("bob"))
        await running.take_up(bob=None)
        await running.listen(hosts=("mail.lan",), web_origins=("https://webmail.example.com",))
        await running.told(stream)
        assert await rest_of(download) == BIG - 256
    assert (await running.session("alice"))[0] == 200


async def test_a_refresh_under_way_is_not_asked_for_twice(world: World, running: Running) -> None:
    """The unchanged account's single flight goes on: who waited before the reload and who comes after it share it."""
    fault = world.idp.faults.add("token", Fault(hold=asyncio.Event()))
    before = len(world.idp.token_requests)
    world.mail.refused_tokens.add((await world.stored()).access_token)
    asking = [asyncio.create_task(running.session("alice"))]
    await fault.entered.wait()
    await running.take_up(bob=None)
    asking.append(asyncio.create_task(running.session("alice")))
    assert fault.hold is not None
    fault.hold.set()
    assert [status for status, _ in await asyncio.gather(*asking)] == [200, 200]
    assert len(world.idp.token_requests) == before + 1


async def test_a_refresh_under_way_of_a_changed_account_is_not_asked_for_twice(world: World, running: Running) -> None:
    """Who comes after the reload waits for the one that began before, and takes up what it has stored."""
    fault = world.idp.faults.add("token", Fault(hold=asyncio.Event()))
    before = len(world.idp.token_requests)
    world.mail.refused_tokens.add((await world.stored()).access_token)
    asking = [asyncio.create_task(running.session("alice"))]
    await fault.entered.wait()
    await running.take_up(alice=running.changed("alice"))
    asked = len(world.mail.requests)
    asking.append(asyncio.create_task(running.session("alice")))
    while len(world.mail.requests) == asked:  # noqa: ASYNC110 - the sandbox keeps a list
        await asyncio.sleep(0)
    assert fault.hold is not None
    fault.hold.set()
    assert [status for status, _ in await asyncio.gather(*asking)] == [200, 200]
    assert len(world.idp.token_requests) == before + 1


async def test_many_reloads_leave_nothing_behind(running: Running) -> None:
    """No task, and no part of an account that has gone."""
    tasks = set()
    for _ in range(10):
        await running.take_up(bob=None, alice=running.changed("alice"))
        await running.take_up(bob=running.config.accounts["alice"], alice=running.config.accounts["alice"])
        for _ in range(100):
            await asyncio.sleep(0)
        tasks.add(len(asyncio.all_tasks()))
    assert len(tasks) == 1
    await running.proxy._accounts.close()
    assert not running.proxy._accounts._closing


@pytest.mark.usefixtures("no_token_requests")
async def test_a_changed_accounts_requests_finish_and_its_streams_end(running: Running) -> None:
    """The download comes whole; the stream ends, so that its client connects again, by the new settings."""
    async with running.downloading("alice") as download, running.listening("alice") as stream:
        await running.take_up(alice=running.changed("alice"))
        assert await stream.read() == b""
        assert (await running.session("alice"))[0] == 200
        async with running.listening("alice"):
            assert await rest_of(download) == BIG - 256


async def test_a_changed_account_goes_by_its_new_settings(world: World, running: Running) -> None:
    """At once: the server's answers are asked for at another place."""
    moved = msgspec.structs.replace(running.config.accounts["alice"], server=f"{world.mail.base_url}/nowhere")
    await running.take_up(alice=moved)
    assert (await running.session("alice"))[0] == 502
    assert world.mail.requests[-1].raw_path == "/nowhere"
    assert (await running.session("bob"))[0] == 200


@pytest.mark.usefixtures("no_token_requests")
async def test_a_removed_account_is_let_finish(running: Running) -> None:
    """Its download comes whole and its stream ends; a new request is refused with the reason."""
    async with running.downloading("bob") as download, running.listening("bob") as stream:
        await running.take_up(bob=None)
        assert await stream.read() == b""
        status, problem = await running.session("bob")
        assert (status, problem["hint"].endswith("needs [accounts.bob] again")) == (401, True)
        assert await rest_of(download) == BIG - 256
    assert await running.ready() == ["alice"]


async def test_a_request_that_waits_for_the_session_goes_by_what_is_new(world: World, running: Running) -> None:
    """It has begun with the old settings, but would open its stream after those of the account were ended."""
    url = (await running.session("alice"))[1]["eventSourceUrl"]
    url = url.replace("{types}", "*").replace("{closeafter}", "no").replace("{ping}", "0")
    await running.take_up(alice=running.changed("alice"))  # nothing is known of its Session now
    fault = world.mail.faults.add("session", Fault(hold=asyncio.Event()))
    asking = asyncio.create_task(running.client.get(url, headers=basic(running.keys["alice"])))
    await fault.entered.wait()
    await running.take_up(alice=None)
    assert fault.hold is not None
    fault.hold.set()
    assert (await asking).status == 401
    (await asking).close()


async def test_a_new_account_is_served(running: Running) -> None:
    """With the tokens that it has; it comes into /readyz, in the order of the file."""
    bob = running.config.accounts["bob"]
    await running.take_up(bob=None)
    await running.take_up(carol=bob, bob=bob)
    assert (await running.session("bob"))[0] == 200
    assert await running.ready() == ["alice", "carol", "bob"]


async def test_the_token_files_of_the_accounts_of_now_are_watched(world: World, running: Running) -> None:
    """A sign-in of a new account is taken up, and a sign-out of a changed one ends its streams."""
    await running.take_up(carol=running.config.accounts["bob"], alice=running.changed("alice"))
    assert (await running.ready())[0] == "alice"
    async with Assembly(running.config, world.state) as assembly, running.listening("alice") as stream:
        running.keys["carol"] = await signed_in(assembly, "carol")
        while (await running.session("carol"))[0] != 200:
            pass
        await assembly.store("alice").remove()
        assert await stream.read() == b""


async def test_names_and_web_origins_are_exchanged_on_open_connections(running: Running) -> None:
    """The listener stays, its door is another one."""
    origin = running.origin
    page = {"Origin": "https://webmail.example.com"}
    assert (await running.session("alice", Host="mail.lan"))[0] == 421
    assert (await running.session("alice", **page))[0] == 403
    await running.listen(hosts=("mail.lan",), web_origins=("https://webmail.example.com",))
    assert (await running.session("alice", Host="mail.lan"))[0] == 200
    assert (await running.session("alice", **page))[0] == 200
    await running.listen(hosts=(), web_origins=())
    assert (await running.session("alice", Host="mail.lan"))[0] == 421
    assert (await running.session("alice", **page))[0] == 403
    assert running.origin == origin


async def test_a_port_is_moved(running: Running) -> None:
    """The download that came by the old one comes whole; then it is closed."""
    old = running.origin
    async with running.downloading("alice") as download:
        await running.listen(http=f"127.0.0.1:{free_port()}")
        assert (await running.session("alice"))[0] == 200
        assert await rest_of(download) == BIG - 256
    assert running.origin != old
    with pytest.raises(aiohttp.ClientError):
        await running.session("alice", old)


async def test_a_taken_port_leaves_everything_as_it_was(running: Running) -> None:
    """Accounts too, and also a changed one's stream."""
    before, taken = running.proxy.addresses, running.proxy.addresses.admin.removeprefix("http://")
    async with running.listening("alice") as stream:
        with pytest.raises(ConfigError, match=r"accounts\.bob\.listen: cannot listen on"):
            await running.take_up(
                alice=running.changed("alice"),
                bob=msgspec.structs.replace(running.config.accounts["bob"], listen=taken),
                carol=running.config.accounts["bob"],
            )
        await running.told(stream)
    assert running.proxy.addresses == before
    assert await running.ready() == ["alice", "bob"]
    await running.take_up(bob=None, carol=None)
    assert await running.ready() == ["alice"]


async def test_an_account_whose_files_cannot_be_used_leaves_everything_as_it_was(running: Running) -> None:
    """The error names the key; those that were made before it are closed again."""
    with pytest.raises(ConfigError, match=r"accounts\.carol\.client_secret_file"):
        await running.take_up(
            bob=running.changed("bob"),
            carol=msgspec.structs.replace(running.config.accounts["bob"], client_secret_file="/none"),
        )
    assert await running.ready() == ["alice", "bob"]
    assert (await running.session("bob"))[0] == 200


async def test_tokens_that_only_the_memory_holds_are_not_left_behind(world: World, running: Running) -> None:
    """The stored refresh token is spent: an account that took it up anew would lose its sign-in."""
    world.mail.refused_tokens.add((await world.stored()).access_token)
    fault = world.idp.faults.add("token", Fault(hold=asyncio.Event()))
    asking = asyncio.create_task(running.session("alice"))
    await fault.entered.wait()
    world.token_file.chmod(0o644)  # what others could have read is not overwritten
    assert fault.hold is not None
    fault.hold.set()
    assert (await asking)[0] == 200
    with pytest.raises(StoreError, match=r"accounts\.alice has changed"):
        await running.take_up(alice=running.changed("alice"))
    assert (await running.session("alice"))[0] == 200
    world.token_file.chmod(0o600)


@pytest.mark.parametrize("room", [True, False])
async def test_a_disk_that_fills_up_under_a_refresh_of_before(world: World, running: Running, *, room: bool) -> None:
    """The exchanged account's refresh ends after the reload, and only the memory has its tokens.

    The new parts do not spend the stored refresh token; the old ones are kept until the disk has taken theirs, but
    hold up no shutdown.
    """
    world.mail.refused_tokens.add((await world.stored()).access_token)
    before = len(world.idp.token_requests)
    fault = world.idp.faults.add("token", Fault(hold=asyncio.Event()))
    asking = asyncio.create_task(running.session("alice"))
    await fault.entered.wait()
    await running.take_up(alice=running.changed("alice"))
    world.token_file.chmod(0o644)  # what others could have read is not overwritten
    assert fault.hold is not None
    fault.hold.set()
    assert (await asking)[0] == 200
    assert (await running.session("alice"))[0] == 503
    if room:
        world.token_file.chmod(0o600)
        while (await running.session("alice"))[0] != 200:
            pass
    assert [request.outcome for request in world.idp.token_requests[before:]] == ["ok"]


async def test_another_hook(world: World, running: Running) -> None:
    """Counts at once."""
    told = world.folder / "told"
    hooks = Hooks(on_sign_in_needed=(sys.executable, "-c", "import sys; open(sys.argv[1], 'w')", str(told)))
    with structlog.testing.capture_logs() as logs:
        await running.proxy.take_up(msgspec.structs.replace(running.config, hooks=hooks))
    assert [each for each in logs if each["log_level"] == "warning"] == []
    world.idp.revoke_grants()
    assert (await running.session("alice"))[0] == 503
    await running.proxy._assembly.hook.close()
    assert told.exists()


async def test_an_account_gets_and_loses_a_port_of_its_own(running: Running) -> None:
    """The others' connections stay."""
    origin = running.origin
    alone = msgspec.structs.replace(running.config.accounts["bob"], listen="127.0.0.1:0")
    await running.take_up(bob=alone)
    own = running.proxy.addresses.own["bob"]
    assert (await running.session("bob", own))[0] == 200
    assert (await running.session("alice", own))[0] == 401
    await running.take_up(bob=msgspec.structs.replace(alone, listen=""))
    assert running.proxy.addresses.own == {}
    assert (await running.session("bob"))[0] == 200
    assert running.origin == origin


async def test_https_is_switched_on_and_off_and_shows_another_certificate(running: Running) -> None:
    """On the same port, with the connections of before; the first one needs its files."""
    with pytest.raises(ConfigError, match=r"no certificate"):
        await running.listen(https="127.0.0.1:0")
    ca_file, _ = private_authority(running.world.folder)
    leaf = str(running.world.folder / "leaf.pem")
    await running.listen(cert_file=leaf, key_file=leaf)
    https = running.proxy.addresses.https
    trust = ssl.create_default_context(cafile=ca_file)
    async with running.client.get(f"{https}/.well-known/jmap", headers=basic(running.keys["bob"]), ssl=trust) as got:
        assert got.status == 200
    await running.world.invoke("cert")
    await running.listen(cert_file="", key_file="", hosts=("mail.lan",))
    assert running.proxy.addresses.https == https
    other = ssl.create_default_context(cafile=running.world.state / "tls" / "ca.pem")
    async with (
        ClientSession() as anew,
        anew.get(f"{https}/.well-known/jmap", headers=basic(running.keys["bob"]), ssl=other) as got,
    ):
        assert got.status == 200
    await running.listen(https="")
    assert running.proxy.addresses.https == ""


async def test_limits(running: Running) -> None:
    """What a request may cost counts at once; for the others the log says that a restart is needed, each time."""
    limits = msgspec.structs.replace(running.config.limits, upload_replay=0, head=1.5, first_byte=3.5)
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            await running.proxy.take_up(msgspec.structs.replace(running.config, limits=limits))
    told = [each["keys"] for each in logs if each["log_level"] == "warning"]
    assert told == [["limits.head", "limits.first_byte"]] * 2
    assert running.proxy._handler.bounds.upload_replay == 0


async def test_two_reloads_at_once(running: Running) -> None:
    """One after the other: what the later one says counts."""
    bob = running.config.accounts["bob"]
    await asyncio.gather(running.take_up(bob=None), running.take_up(bob=bob), running.take_up(carol=bob))
    assert await running.ready() == ["alice", "bob", "carol"]
    assert (await running.session("bob"))[0] == 200


async def test_a_reload_that_is_cancelled_leaves_nothing_half_done(running: Running) -> None:
    """As at a shutdown, at whatever point it is: listeners and accounts are as before, and can be had anew."""
    port = free_port()
    wanted = msgspec.structs.replace(
        running.config,
        listen=msgspec.structs.replace(running.config.listen, http=f"localhost:{port}"),
        accounts={"alice": running.changed("alice"), "carol": running.config.accounts["bob"]},
    )
    before = running.proxy.addresses
    for steps in range(100):
        reload = asyncio.create_task(running.proxy.take_up(wanted))
        for _ in range(steps):
            await asyncio.sleep(0)
        reload.cancel()
        await asyncio.gather(reload, return_exceptions=True)
        if not reload.cancelled():
            break
        assert running.proxy.addresses == before
        assert await running.ready() == ["alice", "bob"]
    await running.proxy.take_up(wanted)
    assert await running.ready() == ["alice", "carol"]
    assert running.origin.endswith(f":{port}")

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web

from jmap_proxy.cli.listeners import Listeners, Way, own_door, own_way, shared_door, unix_door
from jmap_proxy.config import Limits, parse_config
from jmap_proxy.errors import AddressTaken, ConfigError
from tests.support.certificates import private_authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


LIMITS = Limits(shutdown=0)


async def answer(request: web.BaseRequest) -> web.StreamResponse:
    """Tell by which address the request came."""
    return web.Response(text=str(request.url.origin()))


def no_key(_key: str) -> str | None:
    """Every key is wrong."""
    return None


def way(text: str, name: str = "http", open_account: str = "") -> Way:
    """A way in by plain http."""
    return Way(name, "listen.http", text, answer, 0, open_account=open_account)


@pytest.fixture
async def listeners() -> AsyncIterator[Listeners]:
    """Give listeners without inherited sockets."""
    listeners = Listeners(LIMITS, {})
    yield listeners
    await listeners.close()


async def opened(listeners: Listeners, *ways: Way) -> str:
    """Let these ways be the open ones; where the first is."""
    listeners.take(await listeners.open(ways))
    return listeners.shown.get(ways[0].name, "")


def unix_way(path: Path | None) -> Way:
    """A way in by a Unix socket."""
    return Way("unix", "listen.unix", "", answer, 0, path=path)


async def told(url: str) -> str:
    """The answer."""
    async with ClientSession() as client, client.get(url) as response:
        return await response.text()


async def test_a_name_is_listened_on_at_all_its_addresses(listeners: Listeners) -> None:
    """With one port; the origin shows the name."""
    origin = await opened(listeners, way("localhost:0"))
    assert origin.startswith("http://localhost:")
    port = int(origin.rpartition(":")[2])
    for family, _, _, _, address in await asyncio.get_running_loop().getaddrinfo(
        "localhost", port, type=socket.SOCK_STREAM
    ):
        with socket.socket(family) as client:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, address)


async def test_what_is_off_is_not_opened(listeners: Listeners) -> None:
    """Neither by TCP nor by a Unix socket."""
    assert await opened(listeners, way(""), unix_way(None)) == ""
    assert listeners.shown == {}


@pytest.mark.parametrize("text", ["0.0.0.0:0", "[::]:0"])
async def test_plain_http_stays_on_this_machine(listeners: Listeners, text: str) -> None:
    """What is really bound counts, since a hosts file can give "localhost" any address."""
    with pytest.raises(ConfigError, match="plain http only on this machine"):
        await listeners.open([way(text)])


async def test_a_port_that_is_taken_is_told(listeners: Listeners) -> None:
    """With the key, the address once, and why; it may be free soon, so that trying again is worth while."""
    address = (await opened(listeners, way("127.0.0.1:0"))).removeprefix("http://")
    with pytest.raises(AddressTaken) as caught:
        await listeners.open([way(address)])
    assert caught.value.exit_code == 75
    assert caught.value.detail == f"listen.http: cannot listen on {address}: {os.strerror(errno.EADDRINUSE)}"


async def test_an_address_that_is_not_ours_is_told(listeners: Listeners, tmp_path: Path) -> None:
    """A documentation address (RFC 5737) is nobody's."""
    _, context = private_authority(tmp_path)
    with pytest.raises(ConfigError) as caught:
        await listeners.open([Way("https", "listen.https", "192.0.2.1:0", answer, 0, context)])
    reason = os.strerror(errno.EADDRNOTAVAIL)
    assert caught.value.detail == f"listen.https: cannot listen on 192.0.2.1:0: {reason}"


@pytest.mark.parametrize("host", ["a..b", "no-such-host.invalid"])
async def test_a_host_that_is_none_is_told(listeners: Listeners, tmp_path: Path, host: str) -> None:
    """One that no name can be, and one that nobody has (RFC 6761 §6.4): in words."""
    _, context = private_authority(tmp_path)
    with pytest.raises(ConfigError) as caught:
        await listeners.open([Way("https", "listen.https", f"{host}:0", answer, 0, context)])
    begin, _, reason = caught.value.detail.partition(f" on {host}:0: ")
    assert begin == "listen.https: cannot listen"
    assert " " in reason
    assert "Unknown error" not in reason


async def test_inherited_sockets_replace_the_address() -> None:
    """All of one name; the configured address stays free, and they are closed at the end."""
    one, other = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in (one, other)]
    listeners = Listeners(LIMITS, {"http": [one, other]})
    assert await opened(listeners, way("192.0.2.1:1")) == f"http://127.0.0.1:{ports[0]}"
    for port in ports:
        assert await told(f"http://127.0.0.1:{port}/") == f"http://127.0.0.1:{port}"
    await listeners.close()
    assert (one.fileno(), other.fileno()) == (-1, -1)


@pytest.mark.parametrize(("tls", "open_account"), [(False, ""), (True, "alice")])
async def test_inherited_sockets_are_no_way_around(tmp_path: Path, *, tls: bool, open_account: str) -> None:
    """One that others can reach is refused as the address would be; and all are closed."""
    context = private_authority(tmp_path)[1] if tls else None
    everywhere, unused = socket.create_server(("", 0)), socket.create_server(("127.0.0.1", 0))
    listeners = Listeners(LIMITS, {"http": [everywhere], "admin": [unused]})
    with pytest.raises(ConfigError, match="the socket handed down as 'http': "):
        await listeners.open([Way("http", "listen.http", "", answer, 0, context, open_account)])
    await listeners.close()
    assert (everywhere.fileno(), unused.fileno()) == (-1, -1)


async def test_a_unix_socket_is_removed_at_the_end(tmp_path: Path) -> None:
    """Its path is told."""
    listeners = Listeners(LIMITS, {})
    path = tmp_path / "proxy.sock"
    assert await opened(listeners, unix_way(path)) == str(path)
    assert path.is_socket()
    await listeners.close()
    assert not path.exists()


async def test_an_inherited_unix_socket_stays(tmp_path: Path) -> None:
    """It is the service manager's."""
    path = tmp_path / "proxy.sock"
    inherited = socket.socket(socket.AF_UNIX)
    inherited.bind(str(path))
    listeners = Listeners(LIMITS, {"unix": [inherited]})
    assert await opened(listeners, unix_way(None)) == str(path)
    await listeners.close()
    assert path.is_socket()


@contextlib.asynccontextmanager
async def connected(origin: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """A client's connection: what asks for the next answer's body of three bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(origin.rpartition(":")[2]))

    async def asked() -> str:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        return (await reader.readexactly(3)).decode()

    try:
        yield asked
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def answer_anew(_request: web.BaseRequest) -> web.StreamResponse:
    """Another answer."""
    return web.Response(text="new")


async def test_a_listener_that_stays_keeps_its_connections(listeners: Listeners) -> None:
    """Only its answer is exchanged, also for a request on a connection that was open before."""
    stays = way("127.0.0.1:0")
    origin = await opened(listeners, stays)
    async with connected(origin) as asked:
        assert await opened(listeners, dataclasses.replace(stays, answer=answer_anew)) == origin
        assert await asked() == "new"


async def test_a_listener_that_moves_is_open_before_the_old_one_is_closed(listeners: Listeners) -> None:
    """The request in flight at the old one is answered; then nobody listens there."""
    held, entered = asyncio.Event(), asyncio.Event()

    async def hold(_request: web.BaseRequest) -> web.StreamResponse:
        entered.set()
        await held.wait()
        return web.Response(text="old")

    old = await opened(listeners, Way("http", "listen.http", "127.0.0.1:0", hold, 30))
    async with connected(old) as asked:
        asking = asyncio.ensure_future(asked())
        await entered.wait()
        opening = await listeners.open([dataclasses.replace(way("localhost:0"), answer=answer_anew)])
        async with connected(old):
            pass  # it listens until the new one is taken
        listeners.take(opening)
        async with connected(listeners.shown["http"]) as asked_anew:
            assert await asked_anew() == "new"
        held.set()
        assert await asking == "old"
    await listeners.close()
    with pytest.raises(ConnectionError):
        await connected(old).__aenter__()


async def test_what_is_off_now_is_closed(listeners: Listeners, tmp_path: Path) -> None:
    """A port and a Unix socket alike."""
    path = tmp_path / "proxy.sock"
    origin = await opened(listeners, way("127.0.0.1:0"), unix_way(path))
    await opened(listeners, way(""), unix_way(None))
    await listeners.close()
    assert not path.exists()
    with pytest.raises(ConnectionError):
        await connected(origin).__aenter__()


async def test_one_that_cannot_be_opened_leaves_all_as_it_was(listeners: Listeners, tmp_path: Path) -> None:
    """Those that were opened before it are closed again; those of before go on with the answer of before."""
    stays, path = way("127.0.0.1:0"), tmp_path / "proxy.sock"
    origin = await opened(listeners, stays)
    with pytest.raises(ConfigError, match=r"listen\.admin"):
        await listeners.open(
            [
                dataclasses.replace(stays, answer=answer_anew),
                unix_way(path),
                Way("admin", "listen.admin", origin.removeprefix("http://"), answer, 0),
            ]
        )
    assert not path.exists()
    assert listeners.shown == {"http": origin}
    assert await told(f"{origin}/") == origin


async def test_an_open_account_does_not_come_to_a_listener_that_reaches_further(tmp_path: Path) -> None:
    """A socket that was handed down stays open, and is looked at again all the same."""
    context = private_authority(tmp_path)[1]
    everywhere = socket.create_server(("", 0))
    listeners = Listeners(LIMITS, {"https": [everywhere]})
    shared = Way("https", "listen.https", "", answer, 0, context)
    await opened(listeners, shared)
    with pytest.raises(ConfigError, match="every account needs a key"):
        await listeners.open([dataclasses.replace(shared, open_account="alice")])
    await listeners.close()


async def test_an_inherited_socket_stays_whatever_the_address(listeners: Listeners) -> None:
    """It goes when its way goes."""
    inherited = socket.create_server(("127.0.0.1", 0))
    listeners = Listeners(LIMITS, {"http": [inherited]})
    origin = await opened(listeners, way("127.0.0.1:1"))
    assert await opened(listeners, way("127.0.0.1:2")) == origin
    listeners.take(await listeners.open([]))
    await listeners.close()
    assert inherited.fileno() == -1


ALICE, BOB = (
    f"[accounts.{name}]\nserver = 'https://m.example'\nissuer = 'https://i.example'\nclient_id = 'c'\n"
    for name in ("alice", "bob")
)


def test_who_comes_in_by_the_shared_listeners() -> None:
    """By a key; without one only to an account that has no port of its own."""
    config = parse_config(f"[listen]\nhosts = ['Mail.Lan', '[fd00::2]']\n{ALICE}local_auth = 'none'\n{BOB}")
    door = shared_door(config, no_key)
    assert (door.open_account, door.only, door.peers) == ("alice", "", frozenset())
    assert door.names == {"mail.lan", "fd00::2"}
    config = parse_config(f"{ALICE}local_auth = 'none'\nlisten = '127.0.0.1:8630'\n{BOB}")
    assert shared_door(config, no_key).open_account == ""


@pytest.mark.parametrize(("local_auth", "open_account"), [("none", "alice"), ("key", "")])
def test_who_comes_in_by_an_accounts_own_port(local_auth: str, open_account: str) -> None:
    """That account alone, also where another one is open on the shared port."""
    config = parse_config(f"{ALICE}local_auth = '{local_auth}'\nlisten = '127.0.0.1:8630'\n{BOB}local_auth = 'none'\n")
    door = own_door(config, "alice", shared_door(config, no_key))
    assert (door.only, door.open_account) == ("alice", open_account)
    alone = own_way(config, "alice", answer)
    assert (alone.text, alone.key, alone.open_account) == ("127.0.0.1:8630", "accounts.alice.listen", open_account)
    assert own_way(config, "bob", answer).text == ""


@pytest.mark.parametrize(
    ("accounts", "open_account"),
    [(ALICE, "alice"), (ALICE + BOB, ""), (f"{ALICE}{BOB}local_auth = 'none'\n", "bob")],
)
def test_who_comes_in_by_the_unix_socket(accounts: str, open_account: str) -> None:
    """Our own programs and root's; their user stands for the key where there is but one account."""
    config = parse_config(accounts)
    door = unix_door(config, shared_door(config, no_key))
    assert door.peers == {os.geteuid(), 0}
    assert door.open_account == open_account


async def test_sockets_that_are_handed_with_a_configuration(listeners: Listeners) -> None:
    """Are listened on instead of the address where it is not open yet; those that are not needed are closed."""
    one, unused, late = (socket.create_server(("127.0.0.1", 0)) for _ in range(3))
    port = one.getsockname()[1]
    opening = await listeners.open([way("192.0.2.1:1")], {"http": [one], "admin": [unused]})
    listeners.take(opening)
    assert listeners.shown["http"] == f"http://127.0.0.1:{port}"
    assert unused.fileno() == -1
    listeners.take(await listeners.open([way("192.0.2.1:1")], {"http": [late]}))
    assert late.fileno() == -1
    assert await told(f"http://127.0.0.1:{port}/") == f"http://127.0.0.1:{port}"
    moved = socket.create_server(("127.0.0.1", 0))
    other = moved.getsockname()[1]
    listeners.take(await listeners.open([way("192.0.2.1:2")], {"http": [moved]}))
    assert await told(f"http://127.0.0.1:{other}/") == f"http://127.0.0.1:{other}"
    with pytest.raises(ConfigError):
        await listeners.open([way("192.0.2.1:2"), way("192.0.2.1:3", "admin")], {"unix": [socket.socket()]})


async def test_what_is_off_and_handed_is_open(listeners: Listeners) -> None:
    """As with sockets of a service manager, which need no address."""
    assert (await opened(listeners, way(""))) == ""
    handed = socket.create_server(("127.0.0.1", 0))
    listeners.take(await listeners.open([way("")], {"http": [handed]}))
    assert listeners.shown["http"].startswith("http://127.0.0.1:")

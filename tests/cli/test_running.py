from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import structlog
from aiohttp import ClientSession, UnixConnector
from cryptography import x509

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.role import Role
from jmap_proxy.cli.running import reloadable_proxy, running_proxy
from jmap_proxy.config import load_config
from jmap_proxy.errors import ConfigError
from tests.support.certificates import private_authority
from tests.support.world import basic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jmap_proxy.cli.opening import Listening
    from jmap_proxy.config import Config
    from tests.support.world import World

NOTHING = {"accountId": "u-demo", "blobId": "none", "name": "n"}
OTHERS_PROGRAM = """
import os, socket, sys
os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.connect(b"\\0" + os.fsencode(sys.argv[1]))
client.sendall(b"GET /.well-known/jmap HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
while answer := client.recv(65536):
    os.write(1, answer)
"""


def listen(world: World, *lines: str) -> None:
    """Replace the section [listen]; no listener is at its usual port, which another test may have."""
    if not any(line.startswith("admin") for line in lines):
        lines = (*lines, 'admin = "127.0.0.1:0"')
    account = world.config.read_text().partition("[accounts.alice]")[2]
    world.config.write_text("\n".join(["[listen]", *lines, "[accounts.alice]", account]))


async def test_https_shows_the_users_certificate(world: World) -> None:
    """Only https, and no admin listener: the Session comes over TLS."""
    key = (await world.sign_in()).local_key
    ca_file, _ = private_authority(world.folder)
    leaf = f'"{world.folder / "leaf.pem"}"'
    listen(world, 'http = ""', 'https = "127.0.0.1:0"', 'admin = ""', f"cert_file = {leaf}", f"key_file = {leaf}")
    async with world.assembly() as assembly, running_proxy(assembly) as addresses, ClientSession() as client:
        assert (addresses.http, addresses.admin) == ("", "")
        trust = ssl.create_default_context(cafile=ca_file)
        url = f"{addresses.https}/.well-known/jmap"
        async with client.get(url, headers=basic(key), ssl=trust) as response:
            assert response.status == 200
            assert (await response.json())["apiUrl"].startswith(addresses.https)


async def test_an_open_account_needs_no_key(world: World) -> None:
    """`local_auth = "none"`: on loopback, for one account."""
    world.write_config('local_auth = "none"')
    await world.sign_in()
    async with world.assembly() as assembly, running_proxy(assembly) as addresses, ClientSession() as client:
        async with client.get(f"{addresses.http}/.well-known/jmap") as response:
            assert response.status == 200
        async with client.get(f"{addresses.admin}/readyz") as response:
            assert (await response.json())["accounts"]["alice"]["state"] == "ok"


async def test_further_names_of_the_host_are_known(world: World) -> None:
    """`listen.hosts` adds names; others are refused."""
    key = (await world.sign_in()).local_key
    listen(world, 'http = "127.0.0.1:0"', 'admin = ""', 'hosts = ["Mail.Home"]')
    async with world.assembly() as assembly, running_proxy(assembly) as addresses, ClientSession() as client:
        for name, status in (("mail.home", 200), ("evil.example", 421)):
            headers = {"Host": name, "Authorization": f"Bearer {key}"}
            async with client.get(f"{addresses.http}/.well-known/jmap", headers=headers) as response:
                assert response.status == status


async def test_a_new_sign_in_is_taken_up_while_serving(world: World) -> None:
    """A sign-in by another process is used soon, although the old token would live for an hour."""
    key = (await world.sign_in()).local_key
    async with world.assembly() as assembly, running_proxy(assembly) as addresses, ClientSession() as client:
        await world.sign_in()
        newest = (await world.stored()).access_token
        async with asyncio.timeout(30):
            while not (world.mail.requests and world.mail.requests[-1].token == newest):
                headers = {"Authorization": f"Bearer {key}"}
                async with client.get(f"{addresses.http}/.well-known/jmap", headers=headers) as response:
                    assert response.status == 200
                    world.mail.requests[:] = world.mail.requests[-1:]


async def test_a_port_that_is_taken_is_told(world: World) -> None:
    """The error names key and address, and what was opened before is closed again; a service is to try it again."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen(world, 'http = "127.0.0.1:0"', f'admin = "127.0.0.1:{other.getsockname()[1]}"')
        ended = await (await world.start("serve")).end()
    assert ended.code == 75
    assert "error: listen.admin: cannot listen on 127.0.0.1:" in ended.err
    assert "hint: see whether another jmap-proxy is running" in ended.err


async def test_a_host_that_is_none_is_told(world: World) -> None:
    """A name that cannot be resolved, or encoded, is a configuration error."""
    await world.sign_in()
    private_authority(world.folder)
    leaf = f'"{world.folder / "leaf.pem"}"'
    listen(world, 'http = ""', 'https = "a..b:0"', f"cert_file = {leaf}", f"key_file = {leaf}")
    async with world.assembly() as assembly:
        with pytest.raises(ConfigError, match=r"listen\.https"):
            async with running_proxy(assembly):
                pass


async def test_a_certificate_that_cannot_be_read_is_told(world: World) -> None:
    """Before anything is served."""
    listen(world, 'http = ""', 'https = "127.0.0.1:0"', 'cert_file = "/none"', 'key_file = "/none"')
    async with world.assembly() as assembly:
        with pytest.raises(ConfigError, match="cert_file"):
            async with running_proxy(assembly):
                pass


async def test_https_shows_the_certificate_of_the_command(world: World, client: ClientSession) -> None:
    """After `jmap-proxy cert`, https needs no more than its address; http goes on beside it."""
    key = (await world.sign_in()).local_key
    listen(world, 'http = "127.0.0.1:0"', 'https = "localhost:0"', 'admin = ""')
    await world.invoke("cert")
    trust = ssl.create_default_context(cafile=world.state / "tls" / "ca.pem")
    async with world.assembly() as assembly, running_proxy(assembly) as addresses:
        port = addresses.https.rpartition(":")[2]
        for origin in (addresses.http, addresses.https, f"https://127.0.0.1:{port}"):
            async with client.get(f"{origin}/.well-known/jmap", headers=basic(key), ssl=trust) as response:
                assert (await response.json())["apiUrl"].startswith(f"{origin}/")


async def test_https_without_a_certificate_names_the_command(world: World) -> None:
    """Exit code 78; nothing is served."""
    listen(world, 'http = "127.0.0.1:0"', 'https = "127.0.0.1:0"')
    ended = await (await world.start("serve")).end()
    assert (ended.code, ended.out) == (78, "")
    assert "hint: run: jmap-proxy cert" in ended.err


async def test_a_certificate_that_ends_soon_is_renewed_at_the_start(world: World) -> None:
    """Clients that trust the authority need not know."""
    listen(world, 'http = ""', 'https = "127.0.0.1:0"', 'admin = ""')
    made = await asyncio.to_thread(world.assembly().certificates.make, [])
    later = Assembly(load_config(world.config), world.state, lambda: time.time() + 61 * 86400)
    async with later, running_proxy(later):
        pass
    renewed = x509.load_pem_x509_certificate((world.state / "tls" / "cert.pem").read_bytes())
    assert renewed.not_valid_after_utc - made.leaf.not_valid_after_utc > timedelta(days=60)
    assert renewed.issuer == made.authority.subject


async def test_a_renewal_that_fails_does_not_stop_the_proxy(world: World) -> None:
    """A name that the authority may not sign for: https goes on under the others, and the log says what to do."""
    await world.invoke("cert")
    listen(world, 'http = ""', 'https = "127.0.0.1:0"', 'admin = ""', 'hosts = ["mail.lan"]')
    with structlog.testing.capture_logs() as logs:
        async with world.assembly() as assembly, running_proxy(assembly) as addresses:
            assert addresses.https
    assert [each["hint"] for each in logs if each["log_level"] == "warning"] == [
        "run: jmap-proxy cert, which makes a new authority, and let the clients trust that"
    ]


async def test_the_unix_socket_serves_our_own_programs(world: World) -> None:
    """Without a key, since there is one account; the URLs of the Session are of the host that the client has named."""
    await world.sign_in()
    listen(world, 'http = ""', 'admin = ""', 'unix = "proxy.sock"')
    async with world.assembly() as assembly, running_proxy(assembly) as addresses:
        assert addresses.unix == str(world.state / "proxy.sock")
        async with ClientSession(connector=UnixConnector(addresses.unix)) as client:
            async with client.get("http://localhost/.well-known/jmap") as response:
                session = await response.json()
            assert session["apiUrl"].startswith("http://localhost/")
            async with client.get(session["downloadUrl"].partition("?")[0].format_map(NOTHING)) as response:
                assert response.status == 404
                assert world.mail.requests[-1].token == (await world.stored()).access_token
            async with client.get("http://evil.example/.well-known/jmap") as response:
                assert response.status == 421
    assert not (world.state / "proxy.sock").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_the_unix_socket_refuses_other_users(world: World) -> None:
    """Even where the socket lets them connect, as one of a service manager does (SocketMode=0666)."""
    await world.sign_in()
    listen(world, 'http = ""', 'unix = "unused.sock"')
    with socket.socket(socket.AF_UNIX) as inherited:
        inherited.bind(f"\0jmap-proxy-test-{os.urandom(8).hex()}")
        name = inherited.getsockname()[1:].decode()
        async with world.assembly() as assembly, running_proxy(assembly, {"unix": [inherited]}):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", OTHERS_PROGRAM, name, stdout=asyncio.subprocess.PIPE
            )
            answer, _ = await process.communicate()
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"urn:jmap-proxy:error:peer-refused" in answer


async def test_the_unix_socket_of_a_living_proxy_is_not_taken(world: World) -> None:
    """The second one says so and ends; the first one goes on."""
    listen(world, 'http = ""', 'admin = ""', 'unix = "proxy.sock"')
    async with world.assembly() as assembly, running_proxy(assembly) as addresses:
        ended = await (await world.start("serve")).end()
        assert ended.code == 78
        assert "error: listen.unix: cannot listen on" in ended.err
        _, writer = await asyncio.open_unix_connection(addresses.unix)
        writer.close()
        await writer.wait_closed()


async def test_a_home_that_there_is_not_is_told(world: World) -> None:
    """In the path of the Unix socket."""
    listen(world, 'http = ""', 'admin = ""', 'unix = "~no-such-user/proxy.sock"')
    async with world.assembly() as assembly:
        with pytest.raises(ConfigError, match=r"listen\.unix: .*no such home folder"):
            async with running_proxy(assembly):
                pass


async def test_an_account_has_a_port_of_its_own(world: World, client: ClientSession) -> None:
    """Open there without a key; on the shared port its key is needed; another account's key is refused there."""
    key = (await world.sign_in()).local_key
    bobs = world.assembly().local_keys.renew("bob")
    world.write_config('local_auth = "none"', 'listen = "127.0.0.1:0"')
    alice = world.config.read_text().partition("[accounts.alice]")[2]
    bob = alice.replace('"none"', '"key"')
    world.config.write_text(f"[listen]\nhttp = '127.0.0.1:0'\n[accounts.alice]{alice}\n[accounts.bob]{bob}")
    async with world.assembly() as assembly, running_proxy(assembly) as addresses:
        assert list(addresses.own) == ["alice", "bob"]
        for origin, shown, status in (
            (addresses.own["alice"], "", 200),
            (addresses.own["alice"], key, 200),
            (addresses.own["alice"], bobs, 401),
            (addresses.own["bob"], "", 401),
            (addresses.own["bob"], key, 401),
            (addresses.http, "", 401),
            (addresses.http, key, 200),
        ):
            headers = basic(shown) if shown else {}
            async with client.get(f"{origin}/.well-known/jmap", headers=headers) as response:
                assert (response.status, origin, shown) == (status, origin, shown)


class OneOfSeveral(Role):
    """A process beside others, that agree unless there is a reason."""

    def __init__(self, *, is_first: bool, reason: str = "") -> None:
        self.is_first = is_first
        self.reason = reason
        self.closed = False
        self.agreed: list[list[str]] = []

    async def agree(self, config: Config, listeners: Mapping[str, Listening]) -> None:
        """See `Role`."""
        del config
        if self.reason:
            raise ConfigError(self.reason)
        self.agreed.append(sorted(listeners))

    async def close(self) -> None:
        """See `Role`."""
        self.closed = True


@pytest.mark.parametrize("is_first", [True, False])
async def test_what_is_done_once_is_done_by_the_first_process(world: World, *, is_first: bool) -> None:
    """To answer on the admin listener, and to keep idle accounts signed in."""
    role = OneOfSeveral(is_first=is_first)
    async with world.assembly() as assembly, reloadable_proxy(assembly, None, role) as proxy:
        assert bool(proxy.addresses.admin) is is_first
        assert ("idle accounts" in {task.get_name() for task in asyncio.all_tasks()}) is is_first
        with structlog.testing.capture_logs() as logs:
            await proxy.take_up(assembly.config)
        assert bool(logs) is is_first
    assert role.agreed == [["admin", "http"] if is_first else ["http"]] * 2
    assert role.closed


async def test_what_others_cannot_take_up_is_not_taken_up_here(world: World) -> None:
    """All is as before; at the start the others are told to end."""
    role = OneOfSeveral(is_first=True)
    async with world.assembly() as assembly, reloadable_proxy(assembly, None, role) as proxy:
        before, role.reason = proxy.addresses, "it cannot"
        listen(world, 'http = "127.0.0.1:0"', 'hosts = ["mail.lan"]', 'unix = "s"')
        with pytest.raises(ConfigError, match="it cannot"):
            await proxy.take_up(load_config(world.config))
        assert proxy.addresses == before
        assert not (world.state / "s").exists()
    role = OneOfSeveral(is_first=True, reason="it cannot")
    with pytest.raises(ConfigError, match="it cannot"):
        async with world.assembly() as assembly, reloadable_proxy(assembly, None, role):
            pass
    assert role.closed

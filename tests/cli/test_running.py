from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession

from jmap_proxy.cli.running import running_proxy
from jmap_proxy.errors import ConfigError
from tests.support.certificates import private_authority
from tests.support.world import basic

if TYPE_CHECKING:
    from tests.support.world import World


def listen(world: World, *lines: str) -> None:
    """Replace the section [listen]."""
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
    """The error names key and address, and what was opened before is closed again."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen(world, 'http = "127.0.0.1:0"', f'admin = "127.0.0.1:{other.getsockname()[1]}"')
        ended = await (await world.start("serve")).end()
    assert ended.code == 78
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

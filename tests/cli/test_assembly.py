from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, DummyCookieJar
from joserfc.jwk import ECKey

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.running import running_proxy
from jmap_proxy.config import Config
from jmap_proxy.errors import ConfigError
from jmap_proxy.origins import parse_origin
from tests.proxy.support import Serve, answering, raw_server, scripted
from tests.support.world import basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jmap_proxy.cli.running import Addresses
    from tests.support.world import World


def with_secret(world: World, content: bytes, mode: int = 0o600) -> Assembly:
    """Parts of a confidential client with this secret file."""
    path = world.folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    world.write_config(f'client_secret_file = "{path}"')
    return world.assembly()


async def test_the_state_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JMAP_PROXY_STATE names it."""
    monkeypatch.setenv("JMAP_PROXY_STATE", str(tmp_path / "there"))
    assert Assembly(Config()).state == tmp_path / "there"


async def test_the_client_is_as_configured(world: World) -> None:
    """Issuer, id, scopes and resource come from the configuration; without a file there is no secret."""
    world.write_config('scopes = ["mail"]', 'resource = "https://m.example/"')
    client = world.assembly().client("alice")
    assert (client.issuer, client.client_id, client.client_secret) == (world.idp.issuer, "jmap-proxy", "")
    assert (client.scopes, client.resource) == (("mail",), "https://m.example/")


async def test_the_secret_is_read_from_its_file(world: World) -> None:
    """White space around it does not count; a confidential client signs in with it."""
    world.idp.settings.client_secret = "s3cret"
    assert with_secret(world, b" s3cret\n").client("alice").client_secret == "s3cret"
    await world.sign_in()


@pytest.mark.parametrize(("content", "mode"), [(b"", 0o600), (b" \n", 0o600), (b"\xff", 0o600), (b"s3cret", 0o666)])
async def test_a_secret_file_that_cannot_be_used_is_a_configuration_error(
    world: World, content: bytes, mode: int
) -> None:
    """Empty, no text or open to others; the error names the key and does not hold the secret."""
    with pytest.raises(ConfigError, match=r"accounts\.alice\.client_secret_file") as caught:
        with_secret(world, content, mode).client("alice")
    assert caught.value.hint
    assert "s3cret" not in str(caught.value)


async def test_a_missing_secret_file_is_a_configuration_error(world: World) -> None:
    """The file must be there if it is named."""
    world.write_config('client_secret_file = "/nonexistent/secret"')
    with pytest.raises(ConfigError, match="client_secret_file"):
        world.assembly().client("alice")


def with_key(world: World, content: bytes, mode: int = 0o600) -> Assembly:
    """Parts of a client that signs with this key file."""
    path = world.folder / "key.pem"
    path.write_bytes(content)
    path.chmod(mode)
    world.write_config(f'client_key_file = "{path}"', 'client_auth = "private_key_jwt"')
    return world.assembly()


async def test_a_client_signs_with_the_key_of_its_file(world: World) -> None:
    """PEM or JWK; the sandbox knows the public half."""
    key = ECKey.generate_key("P-256")
    world.idp.settings.client_jwks = {"keys": [key.as_dict(private=False)]}
    for content in (key.as_pem(private=True), json.dumps(key.as_dict(private=True)).encode()):
        client = with_key(world, content).client("alice")
        assert client.client_key is not None
        assert client.method == "private_key_jwt"
        await world.sign_in()
    assert "client_assertion" in world.idp.token_requests[-1].form


KEY = ECKey.generate_key("P-256").as_pem(private=True)


@pytest.mark.parametrize(("content", "mode"), [(b"", 0o600), (b"s3cret", 0o600), (KEY, 0o666), (KEY, 0o602)])
async def test_a_key_file_that_cannot_be_used_is_a_configuration_error(world: World, content: bytes, mode: int) -> None:
    """Empty, no key, or one that others can change; the error names the key of the configuration and no more."""
    with pytest.raises(ConfigError, match=r"accounts\.alice\.client_key_file") as caught:
        with_key(world, content, mode).client("alice")
    assert caught.value.hint
    assert "s3cret" not in str(caught.value)


async def test_a_client_proves_itself_as_configured(world: World) -> None:
    """Whatever the provider says that it takes."""
    world.idp.settings.client_secret = "s3cret"
    with_secret(world, b"s3cret")
    world.config.write_text(f'{world.config.read_text()}\nclient_auth = "client_secret_post"')
    await world.sign_in()
    assert world.idp.token_requests[-1].form["client_secret"] == "s3cret"


async def test_a_missing_authority_is_a_configuration_error(world: World) -> None:
    """The file must be there if it is named."""
    world.write_config('ca_file = "/nonexistent/ca.pem"')
    async with world.assembly() as assembly:
        with pytest.raises(ConfigError, match="ca_file"):
            await assembly.token_endpoint("alice")


async def test_sessions_are_shared_and_keep_nothing(world: World) -> None:
    """One HTTP session for the same trust; no cookies, no environment, closed at the end."""
    async with world.assembly() as assembly:
        http = await assembly._http("")
        assert http is await assembly._http("")
        assert isinstance(http.cookie_jar, DummyCookieJar)
        assert not http.trust_env
    assert http.closed


async def test_a_refresher_gives_the_stored_token(world: World) -> None:
    """The parts fit together: a token that is valid comes without asking the provider."""
    await world.sign_in()
    asked = len(world.idp.token_requests)
    async with world.assembly() as assembly:
        token = await (await assembly.refresher("alice")).ensure_valid_token()
    assert world.idp.check(token) == "demo"
    assert len(world.idp.token_requests) == asked


@asynccontextmanager
async def running(world: World, serve: Serve, *limits: str) -> AsyncIterator[Addresses]:
    """The proxy as `serve` runs it, in front of this server."""
    async with raw_server(serve) as server:
        world.write_config("[limits]", *limits)
        world.config.write_text(world.config.read_text().replace(world.mail.base_url, server))
        async with world.assembly() as assembly, running_proxy(assembly) as addresses:
            yield addresses


async def first_blob(client: ClientSession, addresses: Addresses, key: str) -> str:
    """The URL of a blob."""
    async with client.get(f"{addresses.http}/.well-known/jmap", headers=basic(key)) as response:
        session = await response.json()
    return str(session["downloadUrl"]).format(accountId="A", blobId="b", name="n", type="x")


async def test_answers_pass_as_they_are_and_requests_get_no_more_than_the_token(world: World) -> None:
    """What the server has compressed stays so; of the library's own header fields none is sent."""
    key, packed, heads = (await world.sign_in()).local_key, gzip.compress(b"hello" * 9), list[bytes]()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    unasked = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
    async with (
        running(world, answering(head + packed, heads)) as addresses,
        ClientSession(auto_decompress=False, skip_auto_headers=unasked) as client,
    ):
        async with client.get(await first_blob(client, addresses, key), headers=basic(key)) as response:
            assert (await response.read(), response.headers["Content-Encoding"]) == (packed, "gzip")
        async with client.post(await api_url(client, addresses, key), data=b"{}", headers=basic(key)) as response:
            assert response.status == 200
    names = [{line.partition(b":")[0].lower() for line in each.split(b"\r\n")[1:] if line} for each in heads]
    assert names == [{b"host", b"authorization"}, {b"host", b"authorization", b"content-length"}]


async def api_url(client: ClientSession, addresses: Addresses, key: str) -> str:
    """Where API requests go."""
    async with client.get(f"{addresses.http}/.well-known/jmap", headers=basic(key)) as response:
        return str((await response.json())["apiUrl"])


async def test_an_answer_that_nobody_asked_for_reaches_no_client(world: World, client: ClientSession) -> None:
    """The running proxy has the pool that sees to it."""
    key = (await world.sign_in()).local_key
    poisoned, answers = asyncio.Event(), iter((b"first", b"other"))
    start = b"HTTP/1.1 200 OK\r\nContent-Length: "

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(start + b"5\r\n\r\n" + next(answers))
        if not poisoned.is_set():
            await poisoned.wait()
            writer.write(start + b"6\r\n\r\npoison")
            assert await reader.read() == b""

    async with running(world, scripted(serve)) as addresses:
        url = await first_blob(client, addresses, key)
        async with client.get(url, headers=basic(key)) as response:
            assert await response.read() == b"first"
        poisoned.set()
        async with client.get(f"{addresses.admin}/readyz") as response:  # meanwhile the loop takes in what has arrived
            await response.read()
        async with client.get(url, headers=basic(key)) as response:
            assert await response.read() == b"other"


async def test_the_configured_time_for_answers_is_kept(world: World, client: ClientSession) -> None:
    """`limits.first_byte`; the client is told how long it was."""
    key = (await world.sign_in()).local_key

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.read()

    async with (
        running(world, scripted(silent), "first_byte = 0.3") as addresses,
        client.get(await first_blob(client, addresses, key), headers=basic(key)) as response,
    ):
        problem = json.loads(await response.read())
    assert (problem["status"], problem["type"]) == (503, "urn:jmap-proxy:error:upstream-slow")
    assert "within 0.3 seconds" in problem["detail"]


@pytest.mark.parametrize(("limit", "told"), [("connections = 1", b""), ("head = 0.5", b"HTTP/1.1 408 Request Timeout")])
async def test_the_configured_bounds_of_connections_are_kept(world: World, limit: str, told: bytes) -> None:
    """One that has not said its head makes room for the next one, or is told that it has come too late."""
    async with running(world, answering(b""), limit) as addresses:
        port = parse_origin(addresses.http).port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        _, other = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(10):  # by the defaults it would still be there
                assert (await reader.read()).partition(b"\r\n")[0] == told
        finally:
            writer.close()
            other.close()

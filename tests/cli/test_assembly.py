from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import DummyCookieJar

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.config import Config
from jmap_proxy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

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

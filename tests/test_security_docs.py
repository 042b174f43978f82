"""docs/security.md: what it says of the files is so of those that are made."""

from __future__ import annotations

import re
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import ClientSession, DummyCookieJar

from tests.support.world import basic

if TYPE_CHECKING:
    from tests.support.world import World

TEXT = (Path(__file__).parent.parent / "docs" / "security.md").read_text("utf-8")


def told() -> dict[str, str]:
    """What the table says of the mode of each file of the state folder; `.previous` and its like are NAME's."""
    section = TEXT.partition("\n## What a thief of a file gets\n")[2].partition("\n## ")[0]
    modes = {}
    for names, mode in re.findall(r"^\| (.+?) \| (.+?) \|", section, re.MULTILINE):
        for name in re.findall(r"`([\w./-]+)`", names.partition(" (")[0]):
            modes[f"tokens/NAME{name}" if name.startswith(".") else name] = mode
    return modes


async def everything(world: World) -> tuple[set[str], dict[str, Path]]:
    """Let a proxy make all files that it makes; the secrets that there were, and the files by their names there."""
    world.write_config("[hooks]", 'on_sign_in_needed = ["true"]')
    key = (await world.sign_in()).local_key
    assert (await world.invoke("cert")).code == 0
    secrets = {key}
    program, origin = await world.serve()
    async with ClientSession(headers=basic(key), cookie_jar=DummyCookieJar()) as client:
        for status in (200, 503):  # a refresh, and a loss
            tokens = await world.stored()
            secrets |= {tokens.access_token, tokens.refresh_token}
            world.mail.refused_tokens.add(tokens.access_token)
            if status != 200:
                world.idp.revoke_grants()
            async with client.get(f"{origin}/.well-known/jmap") as response:
                assert response.status == status
    assert (await program.end(signal.SIGTERM)).code == 0
    found = (path for path in world.state.rglob("*") if path.is_file())
    return secrets, {str(path.relative_to(world.state)).replace("alice", "NAME"): path for path in found}


async def test_every_file_is_told_with_its_mode(world: World) -> None:
    """After a sign-in, a refresh, a loss that the hook has told, and a certificate."""
    _, files = await everything(world)
    assert files.keys() >= {"tokens/NAME.jwe", "tokens/NAME.previous", "tokens/NAME.losses", "tokens/NAME.told"}
    assert files.keys() <= told().keys()
    for name, path in files.items():
        assert told()[name].startswith(f"{stat.S_IMODE(path.stat().st_mode):04o}"), name
        if "in 0700" in told()[name]:
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700, name


async def test_no_file_opens_anything_by_itself(world: World) -> None:
    """No token and no local key stands in any of them."""
    secrets, files = await everything(world)
    for name, path in files.items():
        assert not [secret for secret in secrets if secret.encode() in path.read_bytes()], name

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.world import World


async def test_a_new_key_replaces_the_old_one(world: World) -> None:
    """It is printed once, and only its hash is kept."""
    old = (await world.sign_in()).local_key
    ended = await world.invoke("key", "alice")
    assert (ended.code, ended.err) == (0, "")
    new = ended.out.removeprefix("Local key: ").rstrip("\n")
    keys = world.assembly().local_keys
    assert keys.account_of(new) == "alice"
    assert keys.account_of(old) is None
    assert new not in (world.state / "local-keys.json").read_text()


async def test_a_damaged_key_file_is_told_and_left(world: World) -> None:
    """Exit code 74 and a hint; the file is not overwritten."""
    await world.sign_in()
    path = world.state / "local-keys.json"
    path.write_bytes(b"damaged")
    ended = await world.invoke("key", "alice")
    assert (ended.code, ended.out) == (74, "")
    assert "hint: " in ended.err
    assert path.read_bytes() == b"damaged"

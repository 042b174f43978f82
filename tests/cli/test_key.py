from __future__ import annotations

import os
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


async def test_a_key_goes_to_a_private_file(world: World) -> None:
    """It is not printed then; what was there is replaced."""
    file = world.folder / "alice.key"
    file.write_text("old")
    file.chmod(0o644)
    ended = await world.invoke("key", "alice", "--to", str(file))
    assert (ended.code, ended.err) == (0, "")
    key = file.read_text().rstrip("\n")
    assert world.assembly().local_keys.account_of(key) == "alice"
    assert key not in ended.out
    assert file.stat().st_mode & 0o777 == 0o600


async def test_a_folder_of_others_changes_no_key(world: World) -> None:
    """It is looked at before the old key stops working."""
    old = (await world.sign_in()).local_key
    folder = world.folder / "open"
    folder.mkdir()
    folder.chmod(0o777)
    ended = await world.invoke("key", "alice", "--to", str(folder / "k"))
    assert (ended.code, ended.out) == (74, "")
    assert world.assembly().local_keys.account_of(old) == "alice"


async def test_a_key_that_cannot_be_written_is_not_lost(world: World) -> None:
    """It is the one that works by then, so it is printed."""
    ended = await world.invoke("key", "alice", "--to", str(world.folder / ("k" * 300)))
    assert ended.code == 74
    key = ended.out.removeprefix("Local key: ").rstrip("\n")
    assert world.assembly().local_keys.account_of(key) == "alice"


async def test_only_a_plain_file_is_replaced(world: World) -> None:
    """Not a pipe, nor a device: root has been seen to lose /dev/null. The old key goes on working."""
    old = (await world.sign_in()).local_key
    pipe = world.folder / "pipe"
    os.mkfifo(pipe)
    ended = await world.invoke("key", "alice", "--to", str(pipe))
    assert (ended.code, ended.out) == (74, "")
    assert "not a plain file" in ended.err
    assert pipe.is_fifo()
    assert world.assembly().local_keys.account_of(old) == "alice"


async def test_a_link_is_replaced_and_not_followed(world: World) -> None:
    """Whoever has put it there gets nothing written where it leads."""
    victim, link = world.folder / "victim", world.folder / "link"
    victim.write_text("mine")
    link.symlink_to(victim)
    assert (await world.invoke("key", "alice", "--to", str(link))).code == 0
    assert victim.read_text() == "mine"
    assert not link.is_symlink()
    assert link.stat().st_mode & 0o777 == 0o600

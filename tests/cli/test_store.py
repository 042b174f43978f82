from pathlib import Path

from tests.support.world import World


async def test_rekey_encrypts_anew_and_the_sign_in_stays(world: World) -> None:
    """The same tokens under another key; `status` says where the key is."""
    await world.sign_in()
    before, raw = await world.stored(), world.token_file.read_bytes()
    ended = await world.invoke("store", "rekey", "--config", str(world.config), config=False)
    assert (ended.code, ended.err) == (0, "")
    assert "1 files" in ended.out
    assert str(world.state / "data.key") in ended.out
    assert world.token_file.read_bytes() != raw
    assert await world.stored() == before
    assert str(world.state / "data.key") in (await world.invoke("status")).out


async def test_a_damaged_file_is_told(world: World) -> None:
    """With the mend, by the exit code of the store."""
    await world.sign_in()
    _damage(world.token_file)
    ended = await world.invoke("store", "rekey", "--config", str(world.config), config=False)
    assert ended.code == 74
    assert "alice.jwe: damaged" in ended.err
    assert "the old key is kept" in ended.err


async def test_the_configuration_comes_first(world: World) -> None:
    """A place other than store.key is a mistake that is told before anything is done."""
    world.write_config("[store]", 'key = "file"')
    ended = await world.invoke("store", "rekey", "--to", "keyring", "--config", str(world.config), config=False)
    assert ended.code == 2
    assert "change it first" in ended.err


def _damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10] + b"AAAAAAAAA\n")

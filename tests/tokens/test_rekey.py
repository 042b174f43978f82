import multiprocessing
import os
from pathlib import Path

import pytest

from jmap_proxy import files
from jmap_proxy.tokens.envelope import key_id_of
from jmap_proxy.tokens.keychain import Keychain, key_places
from jmap_proxy.tokens.rekey import rekey
from jmap_proxy.tokens.store import read_tokens, token_file, write_tokens
from tests.tokens.builders import token_set

ACCOUNTS = ("alice", ".hidden", "bob@example.com")


def chain(state: Path) -> Keychain:
    """Return the data keys of a state folder, in a file."""
    return Keychain(state, key_places(state, {}), "file")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return a state folder with two generations of each account."""
    for account in ACCOUNTS:
        for generation in (1, 2):
            write_tokens(tmp_path / "tokens", token_set(generation, account=account), chain(tmp_path))
    return tmp_path


def key_ids(state: Path) -> set[str]:
    """Return the names of the keys that the files are encrypted with."""
    found = {path for path in (state / "tokens").iterdir() if path.suffix in {".jwe", ".previous"}}
    assert len(found) == 2 * len(ACCOUNTS)
    return {key_id_of(path.read_bytes()) for path in found}


def test_all_is_encrypted_anew_and_says_the_same(state: Path) -> None:
    """Also the previous generations; the old key is nowhere any more."""
    (old,) = key_ids(state)
    done = rekey(state / "tokens", chain(state))
    assert key_ids(state) == {done.key.key_id} != {old}
    assert (len(done.sealed), done.left) == (6, {})
    assert chain(state).find(old) is None
    for account in ACCOUNTS:
        assert read_tokens(state / "tokens", account, chain(state)) == token_set(2, account=account)


def test_a_file_that_does_not_open_keeps_the_old_key(state: Path) -> None:
    """It may be mended one day; the others are encrypted anew."""
    (old,) = key_ids(state)
    path = token_file(state / "tokens", "alice")
    whole = path.read_bytes()
    path.write_bytes(whole[:-10] + b"AAAAAAAAA\n")
    done = rekey(state / "tokens", chain(state))
    assert list(done.left) == ["alice.jwe"]
    assert chain(state).find(old) is not None
    path.write_bytes(whole)
    assert rekey(state / "tokens", chain(state)).left == {}
    assert read_tokens(state / "tokens", "alice", chain(state)) == token_set(2)
    assert chain(state).find(old) is None


def _rekey_and_die(state: Path, step: int) -> None:
    write, count = files.write_durably, 0

    def dying(path: Path, data: bytes) -> None:
        nonlocal count
        count += 1
        if count == step:
            os._exit(9)
        write(path, data)

    files.write_durably = dying
    rekey(state / "tokens", chain(state))


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8, 9])
def test_killed_at_any_step_it_loses_nothing(state: Path, step: int) -> None:
    """All files can be read afterwards, and the next rekey brings it to its end."""
    process = multiprocessing.get_context("spawn").Process(target=_rekey_and_die, args=(state, step))
    process.start()
    process.join()
    assert process.exitcode == 9
    for account in ACCOUNTS:
        assert read_tokens(state / "tokens", account, chain(state)) == token_set(2, account=account)
    done = rekey(state / "tokens", chain(state))
    assert key_ids(state) == {done.key.key_id}


def test_an_empty_store_gets_a_new_key(tmp_path: Path) -> None:
    """Nothing to encrypt is no error."""
    old = chain(tmp_path).current()
    done = rekey(tmp_path / "tokens", chain(tmp_path))
    assert (done.sealed, done.left) == (frozenset(), {})
    assert chain(tmp_path).current() == done.key != old


def test_a_proxy_that_writes_meanwhile_uses_the_new_key(state: Path) -> None:
    """It asks for the current key at each write."""
    running = chain(state)
    running.current()
    done = rekey(state / "tokens", chain(state))
    write_tokens(state / "tokens", token_set(3), running)
    assert key_id_of(token_file(state / "tokens", "alice").read_bytes()) == done.key.key_id

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.cli.config_writing import ConfigFile, _replace, section, with_section
from jmap_proxy.config import parse_config
from jmap_proxy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BOB = section("bob", {"server": "https://mail.example.com"})
OLD = """# my settings
[listen]   # where clients come in
http = "127.0.0.1:8630"

[accounts.alice] # mine
server = "https://a.example"
"""
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x7f", min_codepoint=0x20), max_size=20)


def test_a_section_holds_what_has_a_value() -> None:
    """Nothing is written that says nothing."""
    text = section("bob@example.com", {"server": "https://x.example", "issuer": "", "upstream_origins": ["https://y"]})
    assert text == '[accounts."bob@example.com"]\nserver = "https://x.example"\nupstream_origins = ["https://y"]\n'


@given(TEXT, TEXT, st.lists(TEXT, max_size=3))
def test_any_value_can_be_read_again(name: str, value: str, values: list[str]) -> None:
    """Quotes, backslashes and whatever else in names and values stay what they are."""
    keys = {"server": value, "upstream_origins": values}
    assert tomllib.loads(section(name, keys)) == {"accounts": {name: {k: v for k, v in keys.items() if v}}}


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# nothing\n",
        OLD,
        OLD.rstrip("\n"),
        OLD.replace("\n", "\r\n"),
        OLD.replace("\n", "\r\n").rstrip(),
        "\ufeff" + OLD,
        "[accounts]\n",
        '[accounts]\nalice.server = "https://a.example"',
        'accounts.alice.server = "https://a.example"\n',
        OLD + "[store]\nkey = 'file'",
    ],
)
def test_what_stands_there_stays(before: str) -> None:
    """To the byte, comments included; the new section is the last, with line ends as they are there."""
    text, config = with_section(before, "bob", BOB)
    assert text.startswith(before)
    assert text.endswith(BOB.replace("\n", "\r\n") if "\r\n" in before else BOB)
    assert config.accounts["bob"].server == "https://mail.example.com"
    assert ("alice" in config.accounts) == ("alice" in before)


def test_where_nothing_can_be_added_the_section_is_told() -> None:
    """An inline table is closed for good in TOML."""
    with pytest.raises(ConfigError, match="no section can be added") as caught:
        with_section('accounts = {alice = {server = "https://a.example"}}', "bob", BOB)
    assert BOB.strip() in caught.value.hint


def test_an_account_is_not_added_twice() -> None:
    """The hint says how to sign it in."""
    with pytest.raises(ConfigError, match="has an account 'bob' by now") as caught:
        with_section(BOB, "bob", BOB)
    assert caught.value.hint == "run: jmap-proxy login bob"


def test_a_bad_section_is_told_as_such() -> None:
    """The error names its key."""
    with pytest.raises(ConfigError, match=r"accounts\.bob\.server"):
        with_section(OLD, "bob", section("bob", {"server": "mail.example.com"}))


def test_a_new_file_is_private(tmp_path: Path) -> None:
    """0600 in a folder 0700, both made."""
    file = ConfigFile(tmp_path / "new" / "folder" / "config.toml")
    assert file.read() == ""
    file.check_writable(BOB)
    file.add("bob", BOB)
    assert file.path.read_text() == BOB
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


def test_mode_and_link_of_a_file_stay(tmp_path: Path) -> None:
    """Dotfiles are often links into a folder of their own."""
    real, link = tmp_path / "dotfiles.toml", tmp_path / "config.toml"
    real.write_text(OLD)
    real.chmod(0o644)
    link.symlink_to(real)
    ConfigFile(link).add("bob", BOB)
    assert link.is_symlink()
    assert real.read_text() == f"{OLD}\n{BOB}"
    assert stat.S_IMODE(real.stat().st_mode) == 0o644
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "dotfiles.toml"]


def test_what_was_changed_meanwhile_stays(tmp_path: Path) -> None:
    """The section is added to what stands there when it is written."""
    path = tmp_path / "config.toml"
    path.write_text(OLD)
    file = ConfigFile(path)
    file.read()
    path.write_text(OLD + "# one more thing\n")
    file.add("bob", BOB)
    assert path.read_text() == f"{OLD}# one more thing\n\n{BOB}"


def test_a_file_that_became_wrong_meanwhile_is_told(tmp_path: Path) -> None:
    """And is left as it is."""
    path = tmp_path / "config.toml"
    path.write_text("[listen")
    with pytest.raises(ConfigError, match="not TOML"):
        ConfigFile(path).add("bob", BOB)
    assert path.read_text() == "[listen"


@pytest.mark.parametrize("before", [OLD, None])
def test_it_can_be_taken_back(tmp_path: Path, before: str | None) -> None:
    """As it was, or not there."""
    path = tmp_path / "config.toml"
    if before is not None:
        path.write_text(before)
    file = ConfigFile(path)
    file.add("bob", BOB)
    file.take_back()
    assert (path.read_text() if path.exists() else None) == before
    file.take_back()
    assert path.exists() == (before is not None)


def test_somebody_elses_change_is_not_taken_back(tmp_path: Path) -> None:
    """What has come after the section is worth more than being tidy."""
    path = tmp_path / "config.toml"
    file = ConfigFile(path)
    file.take_back()
    file.add("bob", BOB)
    path.write_text(BOB + "# mine\n")
    file.take_back()
    assert path.read_text() == BOB + "# mine\n"


def test_a_file_that_cannot_be_written_is_told_with_the_section(tmp_path: Path) -> None:
    """Before the sign-in: as far as the system tells; and when it comes to writing."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "config.toml"
    path.write_text(OLD)
    file = ConfigFile(path)
    folder.chmod(0o500)
    try:
        if not os.access(folder, os.W_OK):  # root mostly may write anywhere
            with pytest.raises(ConfigError, match="cannot be written") as caught:
                file.check_writable(BOB)
            assert BOB.strip() in caught.value.hint
    finally:
        folder.chmod(0o700)
    path.chmod(0o400)
    if not os.access(path, os.W_OK):
        with pytest.raises(ConfigError, match="cannot be written: it is read-only") as caught:
            file.check_writable(BOB)
        assert BOB.strip() in caught.value.hint
    (tmp_path / "plain").write_text("no folder")
    inside = ConfigFile(tmp_path / "plain" / "config.toml")
    with pytest.raises(ConfigError, match="cannot be written"):
        inside.check_writable(BOB)
    with pytest.raises(ConfigError, match="cannot be"):
        inside.add("bob", BOB)
    assert path.read_text() == OLD


@pytest.mark.parametrize(("data", "told"), [(b"\xff", "is not UTF-8"), (None, "cannot be read")])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, data: bytes | None, told: str) -> None:
    """Not text, or a folder."""
    path = tmp_path / "config.toml"
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)
    with pytest.raises(ConfigError, match=told):
        ConfigFile(path).read()


def test_a_folder_that_others_can_write_to_gets_no_file(tmp_path: Path) -> None:
    """Whoever can replace the configuration can have the tokens sent anywhere. It is told before the sign-in, too."""
    tmp_path.chmod(0o777)
    file = ConfigFile(tmp_path / "config.toml")
    attempts: list[Callable[[], None]] = [lambda: file.check_writable(BOB), lambda: file.add("bob", BOB)]
    for attempt in attempts:
        with pytest.raises(ConfigError, match="can be used by others") as caught:
            attempt()
        assert f"chmod 700 {tmp_path}" in caught.value.hint
        assert BOB.strip() in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_two_sign_ins_at_once_lose_nothing(tmp_path: Path) -> None:
    """Each account is there afterwards, whoever writes at the same moment."""
    path, names = tmp_path / "config.toml", [f"user{number}" for number in range(40)]
    path.write_text(OLD)

    def add(name: str) -> None:
        ConfigFile(path).add(name, section(name, {"server": "https://mail.example.com"}))

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(add, names))
    assert set(parse_config(path.read_text()).accounts) == {"alice", *names}


def test_a_full_disk_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    """No file can grow here; the section is told."""
    path = tmp_path / "config.toml"
    path.write_text(OLD)
    code = """
import pathlib, resource, sys
from jmap_proxy.cli.config_writing import ConfigFile
from jmap_proxy.errors import ConfigError
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
try:
    ConfigFile(pathlib.Path(sys.argv[1])).add("bob", sys.argv[2])
except ConfigError as error:
    print(error.detail, error.hint)
"""
    ended = subprocess.run([sys.executable, "-c", code, path, BOB], capture_output=True, text=True, check=True)  # noqa: S603
    assert f"{path} cannot be written: File too large" in ended.stdout
    assert BOB.strip() in ended.stdout
    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["\udcff@example.com", "a\x85b", "my mail", "a/b", ".." + "/" * 3])
def test_a_name_that_no_file_can_hold_is_told(name: str) -> None:
    """Before the sign-in: a command line can hold any bytes."""
    with pytest.raises(ConfigError, match="cannot be the name of an account") as caught:
        with_section(OLD, name, section(name, {"server": "https://mail.example.com"}))
    assert caught.value.detail.isprintable()


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """No half file, no temporary one."""
    with pytest.raises(IsADirectoryError):
        _replace(tmp_path, b"data")
    assert list(tmp_path.iterdir()) == []
    assert not list(tmp_path.parent.glob(f".{tmp_path.name}.*"))

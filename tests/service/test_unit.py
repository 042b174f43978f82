from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import ServiceError
from jmap_proxy.service.served import Served
from jmap_proxy.service.unit import filled, unit, word

EXAMPLE = Path(__file__).parents[2] / "config" / "jmap-proxy.service"
ANALYZE = shutil.which("systemd-analyze")

SERVED = Served(
    argv=("/opt/jmap proxy/bin/jmap-proxy", "serve", "--config", "/home/a%b/$HOME/\"q\" \\ 'c'.toml"),
    writable=("/home/a%b/state", "/run/a b"),
    environment={"JMAP_PROXY_STATE": "/home/a%b/$x/st ate"},
)


def value(text: str, key: str) -> list[str]:
    """The values of a key."""
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def read_words(text: str) -> list[str]:
    """The words of a value, as systemd.syntax(7) reads what is written here: quotes, backslashes, `%%`."""
    words: list[str] = []
    current, quoted, escaped, begun = "", False, False, False
    for character in text:
        if escaped:
            current, escaped = current + character, False
        elif character == "\\":
            escaped = begun = True
        elif character == '"':
            quoted, begun = not quoted, True
        elif character == " " and not quoted:
            words, current, begun = [*words, current], "", False
        else:
            current, begun = current + character, True
    assert not quoted
    assert not escaped
    return [each.replace("%%", "%") for each in [*words, *([current] if begun else [])]]


def test_it_is_the_example_with_other_paths() -> None:
    """config/jmap-proxy.service, for those who install by hand, says the same line by line."""
    example = EXAMPLE.read_text("utf-8")
    heading, section, body = example.partition("[Unit]\n")
    assert all(line.startswith("#") for line in heading.splitlines())
    assert section + body == filled(
        exec_start="%h/.local/bin/jmap-proxy serve", environment="", writable="%h/.local/state/jmap-proxy"
    )


def test_awkward_paths_are_quoted() -> None:
    """Blanks, quotes, backslashes, specifiers and variables are what they are."""
    text = unit(SERVED)
    assert value(text, "ExecStart") == [
        '"/opt/jmap proxy/bin/jmap-proxy" serve --config "/home/a%%b/$$HOME/\\"q\\" \\\\ \'c\'.toml"'
    ]
    assert value(text, "Environment") == ['"JMAP_PROXY_STATE=/home/a%%b/$x/st ate"']
    assert value(text, "ReadWritePaths") == ['"/home/a%%b/state" "/run/a b"']


def test_plain_paths_stay_plain() -> None:
    """Most units look as written by hand."""
    served = Served(argv=("/usr/bin/jmap-proxy", "serve"), writable=("/home/al.ice/.local/state/jmap-proxy",))
    text = unit(served)
    assert value(text, "ExecStart") == ["/usr/bin/jmap-proxy serve"]
    assert value(text, "ReadWritePaths") == ["/home/al.ice/.local/state/jmap-proxy"]
    assert "Environment=" not in text


@pytest.mark.parametrize("bad", ["/a\nExecStart=/bin/evil", "/a\x00", "/a\u2028"])
def test_a_line_cannot_be_smuggled_in(bad: str) -> None:
    """In no place."""
    for served in (
        Served(argv=("/a", bad), writable=("/b",)),
        Served(argv=("/a",), writable=(bad,)),
        Served(argv=("/a",), writable=("/b",), environment={"X": bad}),
    ):
        with pytest.raises(ServiceError) as caught:
            unit(served)
        assert bad not in caught.value.detail


@given(st.lists(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1), min_size=1))
def test_every_word_is_read_back(words: list[str]) -> None:
    """By the rules of systemd.syntax(7)."""
    assert read_words(" ".join(map(word, words))) == words


@pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")
def test_systemd_understands_it(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say of a unit with awkward paths."""
    program = tmp_path / "a %h $b" / "jmap-proxy"
    folder = str(tmp_path / "a %h $b \"q\" 'c' \\")
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    argv = (str(program), "serve", "--config", f"{folder}/c.toml")
    text = unit(Served(argv=argv, writable=(folder,), environment={"JMAP_PROXY_STATE": folder}))
    if "not/absolute" not in complaints(tmp_path, text.replace("ReadWritePaths=", "ReadWritePaths=not/absolute ")):
        pytest.skip("systemd-analyze cannot look at units here")
    assert complaints(tmp_path, text) == ""


def complaints(folder: Path, text: str) -> str:
    """What systemd-analyze says of the unit itself."""
    file = folder / "jmap-proxy.service"
    file.write_text(text)
    checked = subprocess.run(  # noqa: S603 - what is tested
        [str(ANALYZE), "--user", "--recursive-errors=no", "verify", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PATH": "/usr/bin:/bin"},
    )
    return "".join(line for line in checked.stderr.splitlines() if "jmap-proxy" in line or str(folder) in line)


@pytest.mark.parametrize("program", ['/a"b/jmap-proxy', "/a'b/jmap-proxy", "/a\\b/jmap-proxy"])
def test_a_program_that_systemd_does_not_start(program: str) -> None:
    """It is refused here, with words that say more than systemd's."""
    with pytest.raises(ServiceError, match="quotes or backslashes"):
        unit(Served(argv=(program, "serve"), writable=("/b",)))

"""The documentation: no link is dead, no file or test that is named is missing, no command is unknown."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from jmap_proxy.cli import commands
from jmap_proxy.config import parse_config
from jmap_proxy.errors import ConfigError
from jmap_proxy.presets import presets

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

OURS = {"listen", "hooks", "limits", "store"}
"""Sections that only our configuration has; clients have accounts too."""

LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED_FILE = re.compile(r"(?<![\w./~-])(?:jmap_proxy|tests|docs|config|bench|requirements|\.ci)/[\w./-]*\w")
CODE = re.compile(r"`([^`\n]+)`")
SVG_LOADS = re.compile(r"<(?:script|image|use|foreignObject)\b|@import|@font-face|url\((?!#)|\son\w+=", re.IGNORECASE)


def text_of(page: Path) -> str:
    """What stands there."""
    return page.read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code_lines(text: str) -> Iterator[str]:
    """Every line of code: inline, and indented or fenced blocks with their continued lines joined."""
    yield from CODE.findall(text)
    blocks = [line for line in text.replace("\\\n", " ").splitlines() if line.startswith("    ")]
    yield from (line.strip() for line in blocks)


def calls(text: str) -> Iterator[list[str]]:
    """The words of each call of the program that is shown."""
    for line in code_lines(text):
        shown = line.partition("  # ")[0].replace('", "', " ")  # as lists of words are written
        for found in re.finditer(r"(?:^|[\s(\"'])jmap-proxy +([a-z][^|&;)\]\"']*)", shown):
            yield found[1].split()


def unknown(words: list[str]) -> str:
    """What of a call the program does not know, "" if it knows all."""
    command: click.Command = commands
    known: list[str] = []
    for word in (word.strip(",.:") for word in words):
        if isinstance(command, click.Group) and not word.startswith("-"):
            if word not in command.commands:
                return " ".join([*known, word])
            command = command.commands[word]
            known.append(word)
        elif word.startswith("--"):
            options = {option for parameter in command.params for option in parameter.opts}
            if word.partition("=")[0] not in options | {"--help", "--version"}:
                return " ".join([*known, word])
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_no_link_is_dead(name: str) -> None:
    """Relative ones lead to a file of the repository, and to a heading that is there."""
    page = ROOT / name
    for link in LINK.findall(text_of(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("name", NAMES)
def test_every_named_file_is_there(name: str) -> None:
    """Also where it is not a link."""
    for named in NAMED_FILE.findall(" ".join(CODE.findall(text_of(ROOT / name)))):
        assert (ROOT / named).exists(), named


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_known(name: str) -> None:
    """The program has it, and the options that are shown with it."""
    found = {unknown(words) for words in calls(text_of(ROOT / name))}
    assert found <= {""}


@pytest.mark.parametrize("name", NAMES)
def test_every_example_of_the_configuration_can_be_used(name: str) -> None:
    """As far as it is one: a block with sections that the configuration has."""
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text_of(ROOT / name), re.MULTILINE):
        text = "\n".join(line.removeprefix("    ") for line in block.splitlines())
        try:
            written = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            continue
        if written.keys() & OURS or ("accounts" in written and "clients" not in name):
            try:
                parse_config(text)
            except ConfigError as error:
                raise AssertionError(f"{error.detail}\n{text}") from error


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("`jmap-proxy frobnicate`", "frobnicate"),
        ("`jmap-proxy store`", ""),
        ("    $(jmap-proxy token alice) | jmap-proxy sotre rekey", "sotre"),
        ("    jmap-proxy login alice --no-brauser", "login --no-brauser"),
        ("    jmap-proxy login alice \\\n        --sever URL", "login --sever"),
        ('    ["jmap-proxy", "tokn", "alice"]', "tokn"),
        ("    journalctl -u jmap-proxy -g e8813ded6b", ""),
    ],
)
def test_an_unknown_command_would_be_found(line: str, found: str) -> None:
    """Wherever it stands in a line."""
    assert {unknown(words) for words in calls(line)} | {""} == {found, ""}


@pytest.mark.parametrize(("page", "preset"), [("fastmail", "fastmail"), ("twake-james", "twake")])
def test_what_a_preset_sets_is_told(page: str, preset: str) -> None:
    """Every key with its value; of the others there is nothing to tell, they set what is the default."""
    rows = re.findall(r"^\| `(\w+)` \| (`.+?`) \|", text_of(ROOT / "docs" / "servers" / f"{page}.md"), re.MULTILINE)
    told = {key: CODE.findall(value) for key, value in rows}
    assert told == {
        key: value if isinstance(value, list) else [value] for key, value in presets()[preset].account.items()
    }
    others = [each.account for name, each in presets().items() if name not in ("fastmail", "twake")]
    assert others == [{"replay": "strict"}] * len(others)


def test_pictures_load_nothing() -> None:
    """No script, no font and no picture from elsewhere: GitHub shows them, and so does any browser."""
    pictures = sorted((ROOT / "docs").rglob("*.svg"))
    assert pictures
    for picture in pictures:
        assert not SVG_LOADS.search(picture.read_text("utf-8")), picture


def test_every_dependency_has_its_reason() -> None:
    """In ARCHITECTURE.md, and no other one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["speed"]]
    section = text_of(ROOT / "ARCHITECTURE.md").partition("\n## Each dependency's reason\n")[2]
    told = re.findall(r"^\| ([a-z0-9-]+)(?: \(.*?\))? \| .+ \|$", section, re.MULTILINE)[1:]
    assert sorted(told) == sorted(re.split(r"[<>=;\[ ]", each)[0] for each in wanted)


def test_every_room_is_described() -> None:
    """The layers of the import contract, and every package."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(each["layers"] for each in contracts if each["name"] == "arrows point one way")
    wanted = {name.strip().removeprefix("jmap_proxy.") for layer in layers for name in layer.split("|")}
    section = text_of(ROOT / "ARCHITECTURE.md").partition("\n## The rooms\n")[2].partition("\n## ")[0]
    assert wanted <= {name.removesuffix("/") for name in CODE.findall(section)}
    packages = {path.parent.name for path in (ROOT / "jmap_proxy").glob("*/__init__.py")}
    told = set(re.findall(r"^\| `(\w+)/` \|", section, re.MULTILINE))
    assert told == packages

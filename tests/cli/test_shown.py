from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.cli.shown import shown, shown_lines


@given(st.text())
def test_what_is_shown_is_one_printable_line(text: str) -> None:
    """And as long as it was."""
    assert shown(text).isprintable()
    assert len(shown(text)) == len(text)


def test_plain_text_stays_as_it_is() -> None:
    """Of any language."""
    assert shown("Grüße, 日本 https://x.example/?a=b") == "Grüße, 日本 https://x.example/?a=b"
    assert shown("a\nb\x1b[2J\u202e\ud800") == "a?b?[2J??"


def test_lines_written_here_stay_lines() -> None:
    """Each without what would do something to the terminal."""
    assert shown_lines("add:\n\n[x]\x1b") == "add:\n\n[x]?"


def test_no_error_disturbs_the_terminal() -> None:
    """The last place where one could: whatever an error holds, it is told in a line of its own."""
    code = """
import click
from jmap_proxy import cli
from jmap_proxy.errors import SignInError
@cli.commands.command()
def fails():
    raise SignInError("no\\nhint: run: evil\\x1b[2J", hint="first\\nsecond\\x07")
cli.main()
"""
    ended = subprocess.run([sys.executable, "-c", code, "fails"], capture_output=True, text=True, check=False)  # noqa: S603
    assert (ended.returncode, ended.stdout) == (77, "")
    assert ended.stderr == "error: no?hint: run: evil?[2J\nhint: first\nsecond?\n"

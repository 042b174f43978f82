from __future__ import annotations

import plistlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.service.agent import agent
from jmap_proxy.service.seal import is_untouched, sealed_agent, sealed_unit
from jmap_proxy.service.served import Served

AGENT = agent(Served(argv=("/a",), writable=()))


def test_a_unit_begins_with_its_seal() -> None:
    """As a comment; the rest is as it was."""
    text = sealed_unit("[Unit]\n")
    line, _, rest = text.partition("\n")
    assert line.startswith("# written by jmap-proxy service install")
    assert rest == "[Unit]\n"
    assert is_untouched(text)


def test_an_agent_stays_a_property_list() -> None:
    """The XML declaration is first, the seal a comment behind it."""
    text = sealed_agent(AGENT)
    assert text.startswith("<?xml ")
    assert plistlib.loads(text.encode()) == plistlib.loads(AGENT.encode())
    assert is_untouched(text)


@pytest.mark.parametrize(
    "text",
    ["", "[Unit]\n", AGENT, sealed_unit("[Unit]\n") + "# mine\n", sealed_unit("[Unit]\n").replace("[Unit]", "[unit]")],
)
def test_what_others_wrote_is_told(text: str) -> None:
    """Without a seal, or with one that does not fit any more."""
    assert not is_untouched(text)


def test_two_seals_are_none() -> None:
    """A unit that was pasted behind another."""
    assert not is_untouched(sealed_unit("a\n") + sealed_unit("a\n"))


@given(st.text())
def test_every_change_is_seen(more: str) -> None:
    """Whatever is added behind it."""
    text = sealed_unit("[Unit]\nDescription=x\n")
    assert is_untouched(text + more) == (more == "")

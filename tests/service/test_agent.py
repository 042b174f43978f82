from __future__ import annotations

import plistlib

import pytest

from jmap_proxy.errors import ServiceError
from jmap_proxy.service.agent import agent
from jmap_proxy.service.served import Served

SERVED = Served(
    argv=("/Users/a b/bin/jmap-proxy", "serve", "--config", '/Users/<a> & "b" %h.toml'),
    writable=("/Users/a b/state",),
    environment={"JMAP_PROXY_STATE": "/Users/a & b/state"},
    log="/Users/a b/Library/Logs/jmap-proxy.log",
)


def test_it_is_a_property_list() -> None:
    """Paths with markup, blanks and quotes are read back as they are."""
    told = plistlib.loads(agent(SERVED).encode())
    assert told["ProgramArguments"] == list(SERVED.argv)
    assert told["EnvironmentVariables"] == SERVED.environment
    assert told["StandardErrorPath"] == SERVED.log
    assert (told["Label"], told["RunAtLoad"], told["KeepAlive"]) == ("jmap-proxy", True, {"SuccessfulExit": False})
    assert told["Umask"] == 0o077
    assert told["HardResourceLimits"] == {"Core": 0}


def test_what_is_not_known_is_left_out() -> None:
    """No empty environment, no empty path."""
    told = plistlib.loads(agent(Served(argv=("/a",), writable=())).encode())
    assert "EnvironmentVariables" not in told
    assert "StandardErrorPath" not in told


def test_a_character_that_xml_has_not() -> None:
    """It is refused, not written."""
    with pytest.raises(ServiceError, match="no agent can hold"):
        agent(Served(argv=("/a\x01",), writable=()))

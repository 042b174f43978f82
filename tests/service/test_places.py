from __future__ import annotations

from pathlib import Path

import pytest

from jmap_proxy.errors import ServiceError
from jmap_proxy.service.places import agent_file, log_file, unit_file


def test_units_of_systemd() -> None:
    """Below XDG_CONFIG_HOME, else in the home folder."""
    assert unit_file({"HOME": "/h"}) == Path("/h/.config/systemd/user/jmap-proxy.service")
    both = {"HOME": "/h", "XDG_CONFIG_HOME": "/c"}
    assert unit_file(both) == Path("/c/systemd/user/jmap-proxy.service")


def test_agents_of_launchd() -> None:
    """In the home folder's Library."""
    assert agent_file({"HOME": "/h"}) == Path("/h/Library/LaunchAgents/jmap-proxy.plist")
    assert log_file({"HOME": "/h"}) == Path("/h/Library/Logs/jmap-proxy.log")


def test_without_a_home_folder() -> None:
    """It is told, not taken to be the root."""
    for place in (unit_file, agent_file):
        with pytest.raises(ServiceError, match="HOME"):
            place({})

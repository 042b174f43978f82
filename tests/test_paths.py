from pathlib import Path

import pytest

from jmap_proxy.paths import config_file, state_folder


def test_the_environment_names_the_places() -> None:
    """What the variables say is taken as it is."""
    assert config_file({"JMAP_PROXY_CONFIG": "/x/config.toml"}) == Path("/x/config.toml")
    assert state_folder({"JMAP_PROXY_STATE": "/x/state"}) == Path("/x/state")


@pytest.mark.parametrize("environment", [{}, {"JMAP_PROXY_CONFIG": "", "JMAP_PROXY_STATE": ""}])
def test_else_the_platforms_folders(environment: dict[str, str]) -> None:
    """Without variables, or with empty ones, the platform decides."""
    assert config_file(environment).parts[-2:] == ("jmap-proxy", "config.toml")
    assert "jmap-proxy" in state_folder(environment).parts

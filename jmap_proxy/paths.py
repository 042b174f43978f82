"""Where the configuration and the state live: the platform's folders, or what the environment says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_VARIABLE = "JMAP_PROXY_CONFIG"
STATE_VARIABLE = "JMAP_PROXY_STATE"


def config_file(environment: Mapping[str, str]) -> Path:
    """The configuration file: $JMAP_PROXY_CONFIG, else config.toml in the platform's config folder."""
    if named := environment.get(CONFIG_VARIABLE):
        return Path(named)
    return platformdirs.user_config_path("jmap-proxy") / "config.toml"


def state_folder(environment: Mapping[str, str]) -> Path:
    """The folder of tokens and keys: $JMAP_PROXY_STATE, else the platform's state folder."""
    if named := environment.get(STATE_VARIABLE):
        return Path(named)
    return platformdirs.user_state_path("jmap-proxy")

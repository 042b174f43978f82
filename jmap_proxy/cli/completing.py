"""What the shell completes: names of accounts and clients. A configuration that cannot be used completes nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from click.core import ParameterSource

from jmap_proxy.config import Config, load_config
from jmap_proxy.errors import JmapProxyError
from jmap_proxy.paths import config_file

if TYPE_CHECKING:
    import click


def account_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The accounts whose names begin so, of the configuration that the command line or the environment names."""
    name = "config" if "config" in context.params else "config_file"
    given = context.params.get(name)
    if given is None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
        return []  # it was named, and could not be used: no other one is meant
    try:
        config = given if isinstance(given, Config) else load_config(_place(given))
    except JmapProxyError:
        return []
    return [name for name in config.accounts if name.startswith(incomplete)]


def _place(given: object) -> Path:
    return given if isinstance(given, Path) else config_file(os.environ)

"""An installation of files alone, for looks that ask nobody."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jmap_proxy.config import load_config
from jmap_proxy.doctor.installation import Installation
from jmap_proxy.tokens.keychain import Keychain
from jmap_proxy.tokens.keyplaces import CredentialKey, KeyFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from jmap_proxy.proxy.forwarding import Plane
    from jmap_proxy.proxy.source import TokenSource

ALICE = '[accounts.alice]\nserver = "http://127.0.0.1:1"\n'


def make_installation(
    folder: Path,
    config: str = ALICE,
    *,
    environment: Mapping[str, str] | None = None,
    clock: Callable[[], float] = time.time,
    limit: float = 5,
) -> Installation:
    """An installation in the folder, whose state folder is not made."""
    file = folder / "config.toml"
    file.write_text(config)
    loaded = load_config(file)
    state = folder / "state"
    places = {"credential": CredentialKey({}), "file": KeyFile(state / "data.key")}
    return Installation(
        config=loaded,
        config_file=file,
        accounts=tuple(loaded.accounts),
        state=state,
        data_keys=Keychain(state, places, "file"),  # type: ignore[arg-type]
        environment=environment or {},
        plane=_no_plane,
        clock=clock,
        limit=limit,
    )


async def _no_plane(name: str, source: TokenSource) -> Plane:
    raise NotImplementedError(name, source)

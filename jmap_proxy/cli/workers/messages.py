"""What supervisor and workers say to each other. Pure; no secret is in it."""

from __future__ import annotations

import msgspec

from jmap_proxy.config import Config  # noqa: TC001 - msgspec reads the annotations
from jmap_proxy.status.traffic import Counts  # noqa: TC001 - msgspec reads the annotations
from jmap_proxy.tokens.report import TokenReport  # noqa: TC001 - msgspec reads the annotations


class TakeUp(msgspec.Struct, frozen=True, tag=True):
    """To a worker: prepare this configuration. It answers `Prepared` or `Unable`.

    Attributes:
        config: All of it, as it is in force.
        listeners: For each socket that comes along, the name of its listener.
    """

    config: Config
    listeners: tuple[str, ...]


class Decide(msgspec.Struct, frozen=True, tag=True):
    """To a worker that is prepared: go on with it, and say `Serving`, or leave all as it was.

    Attributes:
        agreed: Whether all can take it up.
    """

    agreed: bool


class Ask(msgspec.Struct, frozen=True, tag=True):
    """To a worker: how is it doing? It answers `Told`, whatever else it does."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """To a worker: stop listening, let the requests in flight finish, and end."""


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """From a worker: it can take the configuration up."""


class Unable(msgspec.Struct, frozen=True, tag=True):
    """From a worker: it cannot take the configuration up, and has left all as it was.

    Attributes:
        is_config: Whether the configuration is wrong, and not a file of the state folder.
    """

    detail: str
    hint: str
    is_config: bool


class Serving(msgspec.Struct, frozen=True, tag=True):
    """From a worker: it goes by the configuration that was agreed upon."""


class Told(msgspec.Struct, frozen=True, tag=True):
    """From a worker: how it is doing.

    Attributes:
        reports: By account, as the worker sees them.
        streams: Account, kind and number of the open streams.
        counts: What it has counted since it told the last time.
    """

    reports: dict[str, TokenReport]
    streams: tuple[tuple[str, str, int], ...]
    counts: Counts


ToWorker = TakeUp | Decide | Ask | Stop
FromWorker = Prepared | Unable | Serving | Told

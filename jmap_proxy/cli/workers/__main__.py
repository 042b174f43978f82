"""A worker's process: `python -m jmap_proxy.cli.workers LEVELS FORMAT CHANNEL`, started by the supervisor alone."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from jmap_proxy.cli.options import run
from jmap_proxy.cli.workers.channel import Channel
from jmap_proxy.cli.workers.messages import ToWorker
from jmap_proxy.cli.workers.worker import work
from jmap_proxy.log import LEVELS, configure_logging, parse_levels

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Be a worker."""
    levels, form, channel = arguments
    configure_logging(parse_levels(levels, LEVELS[1]), form)
    end = socket.socket(fileno=int(channel))
    end.set_inheritable(False)
    messages: type[ToWorker] = ToWorker  # type: ignore[assignment] # msgspec takes a union for a type
    run(work(Channel(end, messages)))


if __name__ == "__main__":
    main(sys.argv[1:])

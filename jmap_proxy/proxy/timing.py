"""How time goes by for event streams: injected, so that tests need not wait."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True, slots=True)
class Timing:
    """Clocks and waits.

    Attributes:
        sleep: Waits for so many seconds.
        clock: Seconds that are never set back.
        now: Seconds since the epoch.
        jitter: A random number in [0, 1).
    """

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    jitter: Callable[[], float] = random.random

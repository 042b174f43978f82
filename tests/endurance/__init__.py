"""The token's life over many kills, processes and generations; it takes minutes, so `make endurance` runs it."""

import os

SHARE = float(os.environ.get("SHARE", "1"))
"""Of the whole work; less than 1 where there is not the time for it (CI)."""

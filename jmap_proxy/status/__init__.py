"""Telling how the accounts are doing: health on the admin listener, and the overview of `jmap-proxy status`."""

"""jmap-proxy: lets any JMAP client use a server that takes only OAuth 2.0 bearer tokens."""

__version__ = "0.1.0"

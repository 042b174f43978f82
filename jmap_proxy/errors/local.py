"""Errors of this machine: configuration, state folder, services, processes."""

from __future__ import annotations

from jmap_proxy.errors.base import JmapProxyError


class ConfigError(JmapProxyError):
    """The configuration file is missing or wrong; the message names the file and the key."""

    code = "config"
    title = "The configuration is wrong"
    exit_code = 78


class AddressTaken(ConfigError):
    """Somebody else listens on an address of the configuration; they may be gone soon, so it can be tried again."""

    code = "address"
    title = "The address is taken"
    exit_code = 75


class StoreError(JmapProxyError):
    """A file of the state folder is damaged, foreign, unreadable or open to others; it is left as it is."""

    code = "store"
    title = "The token store cannot be used"
    status = 503
    exit_code = 74


class ServiceError(JmapProxyError):
    """The platform's services (systemd, launchd) cannot be used, or a step with them failed."""

    code = "service"
    title = "The service cannot be set up"
    exit_code = 69


class WorkerError(JmapProxyError):
    """A process that serves has ended, or does not answer."""

    code = "worker"
    title = "A worker does not work"
    status = 503
    exit_code = 70

    def __init__(self, detail: str) -> None:
        super().__init__(detail, hint="see the log for what it said before", retry_after=1)

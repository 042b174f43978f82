"""The sandbox: an identity provider and a JMAP mail server on loopback, for the demo and for the tests.

Both are real HTTP servers with fault switches. The sandbox stands alone: it imports nothing from the rest of
the program, so what it proves, it proves over HTTP. Nothing here is meant to face a network.
"""

from __future__ import annotations

from jmap_proxy.sandbox.browser import browse
from jmap_proxy.sandbox.faults import Fault, Faults
from jmap_proxy.sandbox.identity_provider import IdentityProvider
from jmap_proxy.sandbox.mail_server import MailServer
from jmap_proxy.sandbox.provider_settings import ProviderSettings
from jmap_proxy.sandbox.session_object import MailSettings

__all__ = [
    "Fault",
    "Faults",
    "IdentityProvider",
    "MailServer",
    "MailSettings",
    "ProviderSettings",
    "browse",
]

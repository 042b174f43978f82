"""A mail address as users type it: whose mail, and at which domain. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jmap_proxy.errors import DiscoveryError

_LOCAL = re.compile(r"[^\x00-\x20\x7f-\x9f@\"(),:;<>\[\\\]]{1,64}")  # RFC 5321 §4.5.3.1.1; no quoted ones
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True, slots=True)
class MailAddress:
    """A mail address.

    Attributes:
        local: What stands before the "@", as it was typed.
        domain: Lower case, in its ASCII form (RFC 5890 §2.3.2.1).
    """

    local: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    def is_of(self, username: str) -> bool:
        """Whether a Session's `username` can be this user (RFC 8620 §2): the address, or what stands before its "@".

        Case does not count: servers write addresses in lower case, whatever was typed.
        """
        return username.casefold() in {str(self).casefold(), self.local.casefold()}


def parse_mail_address(text: str) -> MailAddress:
    """The address.

    Raises:
        DiscoveryError: it is none.
    """
    local, _, domain = text.rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii").lower() if domain else ""
    except UnicodeError:
        domain = ""
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise DiscoveryError(f"{text!r} is no mail address", hint="for example: jmap-proxy login alice@example.com")
    return MailAddress(local, domain)

"""A mail server with a proxy in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.e2e.proxy import Proxy


@dataclass(frozen=True)
class Place:
    """Where clients do their work.

    Attributes:
        proxy: The proxy, signed in.
        change: Lets mail change at the server, by another way than the proxy.
        mailboxes: Names of all mailboxes.
        subjects: Subjects of the messages in the inbox.
    """

    proxy: Proxy
    change: Callable[[], None]
    mailboxes: Sequence[str]
    subjects: Sequence[str]

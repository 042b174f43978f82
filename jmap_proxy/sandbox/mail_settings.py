"""The mail server's settings: how it behaves, changeable while it runs. Data only."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class MailSettings:
    """How the mail server behaves.

    Attributes:
        absolute_urls: The Session's URLs are absolute; relative, as Cyrus gives them, otherwise.
        well_known: `/.well-known/jmap` answers with the Session, or redirects to it (307, relative).
        advertised_origin: The origin that URLs claim instead of the true one; implies `absolute_urls`.
        anonymous_session: A Session request with no Authorization gets 200 and no accounts, as Stalwart does.
        extra_session: Properties merged into the Session.
        max_size_request: Octets of an API request.
        max_size_upload: Octets of an upload.
        message_count: How many messages there are.
    """

    absolute_urls: bool = False
    well_known: Literal["session", "redirect"] = "session"
    advertised_origin: str = ""
    anonymous_session: bool = False
    extra_session: dict[str, Any] = field(default_factory=dict)
    max_size_request: int = 10_000_000
    max_size_upload: int = 300_000_000
    message_count: int = 12

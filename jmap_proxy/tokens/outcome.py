"""What a request to the token endpoint came to, as types: refreshed, rejected, transient."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jmap_proxy.tokens.registration import Registration


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The provider gave tokens (RFC 6749 §5.1). The secrets are not part of the repr.

    Attributes:
        access_token: The new access token.
        refresh_token: The new refresh token, "" if the provider did not send one (RFC 6749 §6: keep the old).
        life: Seconds that the access token is good for.
        scope: The granted scope, "" if the answer does not say.
        id_token: The ID token (OIDC Core §3.1.3.3), "" if none came.
        provider_time: Epoch seconds by the provider's clock, None if it does not say.
        registration: The client that they were given to, if it was registered in the place of the one before.
    """

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    life: float
    scope: str = ""
    id_token: str = field(default="", repr=False)
    provider_time: float | None = field(default=None, compare=False)
    registration: Registration | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A definite no: the grant is gone and only a new sign-in helps."""

    error: str
    provider_time: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Transient:
    """No answer that decides anything; the tokens are kept and it is tried again.

    Attributes:
        reason: What was seen, in words, without secrets.
        retry_after: Seconds that the provider asks to wait, None if it does not say.
        answer_lost: The provider may have acted on the request, and have spent the refresh token.
        client_refused: The provider does not accept the client or what it asks for (RFC 6749 §5.2): the configuration
            is wrong, here or there, and the tokens are not.
        provider_time: Epoch seconds by the provider's clock, None if it does not say.
        error: Its error code, "" if there is none or it is not a known one.
        mend: The command that helps where trying again alone does not, "" where that is not known.
    """

    reason: str
    retry_after: float | None = None
    answer_lost: bool = False
    client_refused: bool = False
    provider_time: float | None = field(default=None, compare=False)
    error: str = ""
    mend: str = ""


Outcome = Refreshed | Rejected | Transient

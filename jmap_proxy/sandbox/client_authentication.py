"""Who calls the token endpoint: client authentication (RFC 6749 §2.3). Pure rules, no HTTP."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from urllib.parse import unquote_plus

from jmap_proxy.sandbox.grants import GrantError
from jmap_proxy.sandbox.provider_settings import ProviderSettings


def check_client(form: Mapping[str, str], authorization: str, settings: ProviderSettings) -> None:
    """Check that the caller is the one client, and shows its secret if it has one.

    Args:
        form: The request's form.
        authorization: The request's `Authorization` header, empty if there is none.
        settings: The known client.

    Raises:
        GrantError: `invalid_client`.
    """
    if authorization:
        client_id, secret = _basic(authorization)
    else:
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if client_id != settings.client_id:
        raise GrantError("invalid_client", "client_id is unknown")
    if not hmac.compare_digest(secret.encode(), settings.client_secret.encode()):
        raise GrantError("invalid_client", "client_secret does not match")


def _basic(authorization: str) -> tuple[str, str]:
    """Return client id and secret of a Basic header; both are form-urlencoded in it."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise GrantError("invalid_client", "only Basic is understood here")
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise GrantError("invalid_client", "the Basic credentials are malformed") from None
    client_id, _, secret = text.partition(":")
    return unquote_plus(client_id), unquote_plus(secret)

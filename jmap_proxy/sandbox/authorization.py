"""The authorization request: is it sound, and where does the browser go next. Pure rules, no HTTP.

RFC 6749 §4.1.1, RFC 7636 (S256 only), RFC 8252 §7.3 (loopback redirects), RFC 9207 (`iss`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from jmap_proxy.sandbox.grants import CodeRequest, Grant
from jmap_proxy.sandbox.provider_settings import ProviderSettings, overridden

if TYPE_CHECKING:
    from collections.abc import Mapping

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
CALLBACK_PATH = "/callback"
_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class UntrustedRequestError(Exception):
    """A request whose redirect URI cannot be trusted: the browser is told, and sent nowhere."""


def check_trust(params: Mapping[str, str], settings: ProviderSettings) -> None:
    """Check client and redirect URI, before anything is sent to that URI.

    Raises:
        UntrustedRequestError: One of them is not known here.
    """
    if params.get("client_id") != settings.client_id:
        raise UntrustedRequestError("client_id is unknown")
    if not is_loopback_callback(params.get("redirect_uri", "")):
        raise UntrustedRequestError("redirect_uri is not http://127.0.0.1:PORT/callback")


def is_loopback_callback(uri: str) -> bool:
    """Whether a redirect URI is a loopback one: any port, path `/callback` (RFC 8252 §7.3)."""
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    bare = not (parts.query or parts.fragment or "@" in parts.netloc)
    return parts.scheme == "http" and host in LOOPBACK_HOSTS and parts.path == CALLBACK_PATH and bare


def error_of(params: Mapping[str, str], settings: ProviderSettings) -> str:
    """The error code for the redirect back (RFC 6749 §4.1.2.1), empty if the request is granted."""
    if params.get("response_type") != "code":
        return "unsupported_response_type"
    if params.get("code_challenge_method") != "S256":
        return "invalid_request"
    if not _S256_CHALLENGE.fullmatch(params.get("code_challenge", "")):
        return "invalid_request"
    return "access_denied" if settings.deny else ""


def code_request(params: Mapping[str, str], settings: ProviderSettings) -> CodeRequest:
    """What the code of a granted request is bound to."""
    user = params.get("login_hint") or settings.user
    grant = Grant(user, params.get("scope", ""), params.get("nonce", ""))
    return CodeRequest(grant, params["redirect_uri"], params["code_challenge"])


def way_back(params: Mapping[str, str], answer: dict[str, str], issuer: str, settings: ProviderSettings) -> str:
    """The URL to which the browser is sent.

    Args:
        params: The authorization request.
        answer: `code`, or `error`.
        issuer: This provider's issuer.
        settings: Whether `iss` is named, and what is falsified.
    """
    back: dict[str, str] = dict(answer)
    if "state" in params:
        back["state"] = params["state"]
    if settings.iss_in_callback:
        back["iss"] = issuer
    return f"{params['redirect_uri']}?{urlencode(overridden(back, settings.callback_overrides))}"

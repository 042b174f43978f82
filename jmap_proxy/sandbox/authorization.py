"""The authorization request: is it sound, and where does the browser go next. Pure rules, no HTTP.

RFC 6749 §4.1.1, RFC 7636 (S256 only), RFC 8252 §7.3 (loopback redirects), RFC 8707 (`resource`), RFC 9207 (`iss`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from jmap_proxy.sandbox.grants import CodeRequest, Grant
from jmap_proxy.sandbox.provider_settings import ProviderSettings, overridden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jmap_proxy.sandbox.clients import Client, Clients

_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


class UntrustedRequestError(Exception):
    """A request whose redirect URI cannot be trusted: the browser is told, and sent nowhere."""


class RefusedRequestError(Exception):
    """A request that is refused, so that whoever asked is told.

    Args:
        code: The error code of RFC 6749 §4.1.2.1 or RFC 8707 §2.
        description: What a developer should know.
    """

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


def trusted_client(params: Mapping[str, str], clients: Clients) -> Client:
    """The client of a request, its redirect URI checked, before anything is sent to that URI.

    Raises:
        UntrustedRequestError: One of them is not known here.
    """
    client = clients.get(params.get("client_id", ""))
    if client is None:
        raise UntrustedRequestError("client_id is unknown")
    if not client.takes_redirect(params.get("redirect_uri", "")):
        raise UntrustedRequestError("redirect_uri is not one of this client's")
    return client


def check_request(params: Mapping[str, str], client: Client, settings: ProviderSettings) -> None:
    """Check a request whose redirect URI can be trusted, and ask the user.

    Raises:
        RefusedRequestError: It is not sound, or the user does not want it.
    """
    check_sound(params, client, settings)
    if settings.refuse_with:
        raise RefusedRequestError(settings.refuse_with)
    if settings.deny:
        raise RefusedRequestError("access_denied", "the user refused")


def check_sound(params: Mapping[str, str], client: Client, settings: ProviderSettings) -> None:
    """Check a request before anybody is asked.

    Raises:
        RefusedRequestError: It is not sound.
    """
    if params.get("response_type") != "code":
        raise RefusedRequestError("unsupported_response_type", "only code")
    if params.get("code_challenge_method") != "S256" or not _S256_CHALLENGE.fullmatch(params.get("code_challenge", "")):
        raise RefusedRequestError("invalid_request", "PKCE with S256 is needed")
    check_scope(params.get("scope", ""), client, settings)
    _check_resource(params.get("resource", ""), settings)


def check_scope(scope: str, client: Client, settings: ProviderSettings) -> None:
    """Check that the scopes exist, where that is asked for, and that the client may ask for them.

    Raises:
        RefusedRequestError: `invalid_scope`.
    """
    for each in scope.split():
        if settings.refuse_scopes and each not in settings.scopes:
            raise RefusedRequestError("invalid_scope", f"there is no scope {each}")
        if client.scope and each not in client.scope.split():
            raise RefusedRequestError("invalid_scope", f"the client did not register the scope {each}")


def _check_resource(resource: str, settings: ProviderSettings) -> None:
    if settings.required_resource not in {"", resource}:
        raise RefusedRequestError("invalid_target", f"resource must be {settings.required_resource}")
    if settings.refuse_resource and resource:
        raise RefusedRequestError("invalid_request", "the parameter resource is not supported")


def granted_scope(scope: str, settings: ProviderSettings) -> str:
    """What is granted of the scopes that were asked for."""
    granted = settings.grant_scopes
    return scope if granted is None else " ".join(each for each in scope.split() if each in granted)


def grant_for(client: Client, scope: str, settings: ProviderSettings, *, user: str = "", nonce: str = "") -> Grant:
    """What a client gets, of whom.

    Args:
        client: Who asked.
        scope: What it asked for.
        settings: What is granted of that, and who is signed in.
        user: Whom the request named.
        nonce: For the ID token.
    """
    person = user if user and settings.heed_login_hint else settings.user
    refreshable = client.may("refresh_token")
    return Grant(person, granted_scope(scope, settings), nonce, client_id=client.client_id, refreshable=refreshable)


def code_request(params: Mapping[str, str], client: Client, settings: ProviderSettings) -> CodeRequest:
    """What the code of a granted request is bound to."""
    named, nonce = params.get("login_hint", ""), params.get("nonce", "")
    grant = grant_for(client, params.get("scope", ""), settings, user=named, nonce=nonce)
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
    uri = _distorted(params["redirect_uri"], settings)
    joint = "&" if "?" in uri else "?"
    return f"{uri}{joint}{urlencode(overridden(back, settings.callback_overrides))}"


def _distorted(uri: str, settings: ProviderSettings) -> str:
    """A redirect URI with the host and port that the settings make of it."""
    parts = urlsplit(uri)
    host = settings.callback_host or parts.netloc.removesuffix(f":{parts.port}")
    port = "" if parts.port is None or settings.drop_callback_port else f":{parts.port}"
    return parts._replace(netloc=host + port).geturl()

"""The authorization request and the answer that comes back by redirect (RFC 6749 §4.1, RFC 7636, RFC 9207). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from jmap_proxy.errors import SignInError
from jmap_proxy.oauth.fields import json_object, printable
from jmap_proxy.oauth.http import check_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jmap_proxy.oauth.client import OAuthClient
    from jmap_proxy.oauth.metadata import ProviderMetadata

_WEB_PAGE = re.compile(r"https?://[!$%&'()*+,\-./:;=?@\[\]_~0-9A-Za-z]+", re.ASCII | re.IGNORECASE)
"""What RFC 3986 allows, without a fragment (RFC 6749 §3.1)."""


ODD = "run it again; if it is told once more, do not sign in there, and ask whoever runs the provider"
"""What helps against a redirect that no good provider sends: somebody may have a hand in it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The random values of one sign-in; each binds a part of the answer to it."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)


def code_challenge(code_verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636 §4.2)."""
    digest = hashlib.sha256(code_verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def authorization_request(
    metadata: ProviderMetadata,
    client: OAuthClient,
    attempt: Attempt,
    *,
    redirect_uri: str,
    login_hint: str = "",
) -> dict[str, str]:
    """What the provider is asked, by way of the user's browser or beforehand (RFC 9126).

    Raises:
        SignInError: the provider has no authorization endpoint or says that it does not do PKCE with S256.
    """
    methods = metadata.code_challenge_methods_supported
    if not metadata.authorization_endpoint or (methods and "S256" not in methods):
        raise SignInError(
            f"{client.issuer} offers no sign-in by authorization code with PKCE (S256)",
            hint="use --device if it offers that, or ask whoever runs the provider",
        )
    query = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "state": attempt.state,
        "code_challenge": code_challenge(attempt.code_verifier),
        "code_challenge_method": "S256",
    }
    if client.scopes:
        query["scope"] = " ".join(client.scopes)
    if "openid" in client.scopes:
        query["nonce"] = attempt.nonce
    if "offline_access" in client.scopes:
        query["prompt"] = "consent"  # OIDC Core §11: without it offline_access must be ignored
    if client.resource:
        query["resource"] = client.resource
    if login_hint:
        query["login_hint"] = login_hint
    return query


def authorization_url(metadata: ProviderMetadata, query: Mapping[str, str]) -> str:
    """The URL that the user's browser opens.

    Raises:
        ProviderError, SignInError: the endpoint is no page that a browser may be sent to; the system might start
            another program by it.
    """
    check_endpoint(metadata.authorization_endpoint)
    if not _WEB_PAGE.fullmatch(metadata.authorization_endpoint):
        raise SignInError(f"{metadata.issuer} names no web page to sign in at", hint="ask whoever runs the provider")
    separator = "&" if "?" in metadata.authorization_endpoint else "?"
    return f"{metadata.authorization_endpoint}{separator}{urlencode(query)}"


def read_pushed(status: int, body: bytes, metadata: ProviderMetadata) -> str:
    """The `request_uri` that stands for a request that was pushed (RFC 9126 §2.2).

    Raises:
        SignInError: the provider refuses it, or its answer cannot be used.
    """
    fields = json_object(body)
    uri = printable(fields.get("request_uri"))
    if status in {HTTPStatus.OK, HTTPStatus.CREATED} and uri:
        return uri
    if isinstance(fields.get("error"), str):
        raise _refusal(fields["error"])
    raise SignInError(
        f"{metadata.issuer} wants sign-ins to be announced (RFC 9126), and answers {status} to that",
        hint="try again later, or ask whoever runs the provider",
    )


def is_for(parameters: Mapping[str, Sequence[str]], attempt: Attempt) -> bool:
    """Whether a redirect belongs to this attempt: exactly one `state`, and the right one.

    What does not belong is passed over and the sign-in goes on: any page can send the browser to the loopback port.
    """
    states = parameters.get("state", [])
    return len(states) == 1 and hmac.compare_digest(states[0].encode(errors="replace"), attempt.state.encode())


def read_callback(parameters: Mapping[str, Sequence[str]], metadata: ProviderMetadata) -> str:
    """The authorization code of a redirect whose `state` is right.

    Raises:
        SignInError: the user or the provider refused, `iss` is another's or missing although promised (RFC 9207
            §2.4), or a parameter is doubled or missing (RFC 6749 §3.1).
    """
    if any(len(values) != 1 for values in parameters.values()):
        raise SignInError("the provider's redirect repeats a parameter", hint=ODD)
    values = {name: values[0] for name, values in parameters.items()}
    issuer = values.get("iss")
    if issuer is None and metadata.authorization_response_iss_parameter_supported:
        raise SignInError(
            "the redirect does not say which provider it comes from (iss), although that was promised", hint=ODD
        )
    if issuer is not None and issuer != metadata.issuer:
        raise SignInError("the redirect comes from another identity provider than the one that was asked", hint=ODD)
    if "error" in values:
        raise _refusal(values["error"])
    code = printable(values.get("code"))  # RFC 6749 appendix A.11
    if not code:
        raise SignInError("the provider's redirect holds no code that can be used", hint=ODD)
    return code


def _refusal(error: str) -> SignInError:
    reasons = {
        "access_denied": ("the sign-in was refused", "sign in again and agree to what is asked"),
        "invalid_scope": ("the provider refuses the scopes", "change the account's scopes"),
        "invalid_target": (
            "the provider refuses the resource",
            'change the account\'s resource, or leave it out: resource = "none"',
        ),
        "unauthorized_client": ("the provider does not know this use of the client", "check the client_id"),
        "invalid_client": ("the provider does not know the client, or not its secret", "check the client_id"),
        "server_error": ("the provider had an error of its own", "try again"),
        "temporarily_unavailable": ("the provider is not available now", "try again later"),
    }
    other = "the provider refuses the sign-in with an error that is not standard"
    reason, hint = reasons.get(error, (other, "the provider's page may say why; else ask whoever runs it"))
    return SignInError(f"{reason} ({error})" if error in reasons else reason, hint=hint)

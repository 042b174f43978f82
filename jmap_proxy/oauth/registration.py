"""Registering a client by itself (RFC 7591), and looking after what was registered (RFC 7592 §2.1, §2.3).

What an answer means is pure; the requests are the thin shell around it. A provider's words are not repeated.
"""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.oauth.client import METHODS, OAuthClient
from jmap_proxy.oauth.device import DEVICE_CODE
from jmap_proxy.oauth.fields import json_object, printable
from jmap_proxy.oauth.http import check_endpoint
from jmap_proxy.origins import parse_origin
from jmap_proxy.tokens.registration import Registration
from jmap_proxy.tokens.report import LAST_MOMENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jmap_proxy.oauth.http import Answer, ProviderHttp
    from jmap_proxy.oauth.metadata import ProviderMetadata

BY_HAND = (
    "register a client there (public, with PKCE, redirect URI http://127.0.0.1/callback with any port), "
    "then run the same command with --client-id ID"
)
MADE_UP = "jmap-proxy-asks-whether-this-client-is-known"
"""A code that nobody has given."""

REFUSALS = frozenset(
    {
        "invalid_redirect_uri",
        "invalid_client_metadata",
        "invalid_software_statement",
        "unapproved_software_statement",
        "invalid_scope",
        "invalid_request",
        "invalid_token",
        "access_denied",
    }
)
"""Error codes that are repeated (RFC 7591 §3.2.2, RFC 6750 §3.1, and what has been seen)."""

UNKNOWN_CLIENT = frozenset({"invalid_client", "unauthorized_client"})

log = structlog.get_logger("jmap_proxy.oauth")


async def register(
    metadata: ProviderMetadata,
    http: ProviderHttp,
    *,
    redirect_uris: Sequence[str],
    scopes: Sequence[str],
    client_name: str,
    now: float,
) -> Registration:
    """Register a client, without showing anything for it.

    Args:
        metadata: Of the provider; it has a registration endpoint.
        http: For the request.
        redirect_uris: Where the browser may be sent back to; the first alone where the provider does not want them all.
        scopes: What the client will ask for; none leaves it to the provider.
        client_name: What users are shown.
        now: Epoch seconds.

    Raises:
        SignInError: the provider refuses, or its answer cannot be used.
        ProviderError: it cannot be reached.
    """
    wanted = wished(metadata, redirect_uris=redirect_uris, scopes=scopes, client_name=client_name)
    answer = await http.post_json(metadata.registration_endpoint, wanted)
    if len(redirect_uris) > 1 and json_object(answer.body).get("error") == "invalid_redirect_uri":
        redirect_uris = redirect_uris[:1]
        answer = await http.post_json(metadata.registration_endpoint, {**wanted, "redirect_uris": list(redirect_uris)})
    return read_registration(answer, metadata, redirect_uris=redirect_uris, now=now)


async def is_known(registration: Registration, metadata: ProviderMetadata, http: ProviderHttp, *, now: float) -> bool:
    """Whether the provider still knows a client that was registered; also where it does not tell.

    The client's own entry is read where there is one (RFC 7592 §2.1). Else the token endpoint is asked to exchange a
    code that nobody has given: it looks at the client first (RFC 6749 §3.2.1), and nothing comes of it either way.
    """
    if 0 < registration.client_secret_expires_at <= now:
        return False
    with contextlib.suppress(ProviderError):
        if registration.registration_client_uri:
            uri, token = registration.registration_client_uri, registration.registration_access_token
            known = entry_tells(await http.get(uri, bearer=token), registration)
            if known is not None:
                return known
        return await _is_known_by_code(registration, metadata, http)
    return True


async def remove(registration: Registration, http: ProviderHttp) -> None:
    """End a registration where the provider allows it (RFC 7592 §2.3).

    Raises:
        ProviderError: it cannot be reached.
    """
    if registration.registration_client_uri:
        await http.delete(registration.registration_client_uri, bearer=registration.registration_access_token)


def wished(
    metadata: ProviderMetadata, *, redirect_uris: Sequence[str], scopes: Sequence[str], client_name: str
) -> dict[str, Any]:
    """What to register (RFC 7591 §2): a native client, public where the provider takes those. Pure."""
    taken = metadata.token_endpoint_auth_methods_supported
    secret = [each for each in ("client_secret_basic", "client_secret_post") if each in taken]
    grant_types = ["authorization_code", "refresh_token"]
    if metadata.device_authorization_endpoint:
        grant_types.append(DEVICE_CODE)
    return {
        "client_name": client_name,
        "application_type": "native",
        "redirect_uris": list(redirect_uris),
        "grant_types": grant_types,
        "response_types": ["code"],
        "token_endpoint_auth_method": secret[0] if secret and "none" not in taken else "none",
        **({"scope": " ".join(scopes)} if scopes else {}),
    }


def read_registration(
    answer: Answer, metadata: ProviderMetadata, *, redirect_uris: Sequence[str], now: float
) -> Registration:
    """The registration that an answer tells of (RFC 7591 §3.2). Pure.

    Raises:
        SignInError: a refusal, or an answer that cannot be used: no client_id, a redirect URI that was not asked for
            (it would be sent the code), a way to prove the client that is not known here.
        ProviderError: the provider has trouble of its own.
    """
    fields = json_object(answer.body)
    if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
        raise _refusal(answer, fields, metadata.issuer)
    client_id, secret = printable(fields.get("client_id")), printable(fields.get("client_secret"))
    if not client_id:
        raise _unusable(metadata.issuer, "there is no client_id in it")
    granted = fields.get("redirect_uris", list(redirect_uris))
    if (
        not isinstance(granted, list)
        or redirect_uris[0] not in granted
        or not set(map(str, granted)) <= {*redirect_uris}
    ):
        raise _unusable(metadata.issuer, "it has other redirect URIs than were asked for")
    method = fields.get("token_endpoint_auth_method", "client_secret_basic" if secret else "none")
    if method not in METHODS or method == "private_key_jwt" or (method != "none" and not secret):
        raise _unusable(metadata.issuer, "the client cannot prove itself in the way that it names")
    uri, token = _management(fields, metadata)
    return Registration(
        issuer=metadata.issuer,
        client_id=client_id,
        client_secret="" if method == "none" else secret,
        client_secret_expires_at=_moment(fields.get("client_secret_expires_at")),
        token_endpoint_auth_method=method,
        redirect_uris=tuple(granted),
        scope=printable(fields.get("scope")),
        registered_at=now,
        registration_client_uri=uri,
        registration_access_token=token,
    )


def entry_tells(answer: Answer, registration: Registration) -> bool | None:
    """Whether a client is known by the answer of its configuration endpoint; None where that is not told. Pure."""
    if answer.status == HTTPStatus.OK:
        return json_object(answer.body).get("client_id") == registration.client_id or None
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return False
    return None


async def _is_known_by_code(registration: Registration, metadata: ProviderMetadata, http: ProviderHttp) -> bool:
    client = OAuthClient(registration.issuer, registration.client_id).registered(registration)
    asked = {
        "grant_type": "authorization_code",
        "code": MADE_UP,
        "redirect_uri": registration.redirect_uris[0] if registration.redirect_uris else "http://127.0.0.1/callback",
        "code_verifier": MADE_UP,
    }
    form, headers = client.authenticate(metadata, asked, registration.registered_at)
    answer = await http.post_form(metadata.token_endpoint, form, headers)
    return json_object(answer.body).get("error") not in UNKNOWN_CLIENT


def _management(fields: dict[str, Any], metadata: ProviderMetadata) -> tuple[str, str]:
    """Where the client is managed and with which token; nowhere, if the token would not stay with the provider."""
    uri, token = fields.get("registration_client_uri"), printable(fields.get("registration_access_token"))
    if not isinstance(uri, str) or not uri or not token:
        return "", ""
    own = {parse_origin(url) for url in (metadata.issuer, metadata.registration_endpoint)}
    try:
        check_endpoint(uri)
        foreign = parse_origin(uri) not in own
    except (ProviderError, ValueError):
        foreign = True
    if foreign or not uri.isprintable():
        log.warning("the provider names a place to manage the client that is not its own", issuer=metadata.issuer)
        return "", ""
    return uri, token


def _refusal(answer: Answer, fields: dict[str, Any], issuer: str) -> SignInError | ProviderError:
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderError(
            f"{issuer} cannot register a client now: it answers {answer.status}", hint="try again later"
        )
    error = fields.get("error")
    told = error if isinstance(error, str) and error in REFUSALS else f"it answers {answer.status}"
    return SignInError(f"{issuer} does not let this program register as a client ({told})", hint=BY_HAND)


def _unusable(issuer: str, why: str) -> SignInError:
    return SignInError(f"what {issuer} answers to the registration of a client cannot be used: {why}", hint=BY_HAND)


def _moment(value: Any) -> float:
    """Epoch seconds; 0 for never, and for what is no time."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_MOMENT:
        return 0.0
    return float(value)

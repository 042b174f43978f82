"""The shapes of known JMAP servers: what clients and proxies see of them, as settings of the one mail server.

Measured and read at the servers themselves; the mail behind a shape is always the same. Data only. Each call gives
settings of its own, which may be changed.
"""

from __future__ import annotations

from typing import Any

from jmap_proxy.sandbox.session_object import ORIGIN, WEBSOCKET, Capability, MailSettings

MASKED_EMAIL = "https://www.fastmail.com/dev/maskedemail"
BLOB2 = "urn:ietf:params:jmap:blob2"
TICKET = "com:linagora:params:jmap:ws:ticket"
DOWNLOAD_ALL = "com:linagora:params:downloadAll"
PUBLIC_ASSETS = "com:linagora:params:jmap:public:assets"

ABSOLUTE_METADATA = f"{ORIGIN}/.well-known/oauth-protected-resource"
RELATIVE_METADATA = "/.well-known/oauth-protected-resource"

_WEBSOCKET = Capability(WEBSOCKET, {"url": "websocket"}, {"supportsPush": True})


def challenge(realm: str, metadata: str = "") -> str:
    """A Bearer challenge (RFC 6750 §3).

    Args:
        realm: Its realm.
        metadata: Where it says that the metadata of RFC 9728 are; empty if it says nothing, which is no sign that
            there are none.
    """
    return f'Bearer realm="{realm}"' + (f', resource_metadata="{metadata}"' if metadata else "")


def protected_by(*issuers: str, **properties: Any) -> dict[str, Any] | None:
    """Metadata that name these issuers and have these further properties (RFC 9728 §2); None without an issuer."""
    metadata = {"authorization_servers": list(issuers), "bearer_methods_supported": ["header"], **properties}
    return metadata if issuers else None


def fastmail(*issuers: str) -> MailSettings:
    """Several hosts, one Session; uploads of blob2 on a host of their own; a capability whose name is a URL.

    Args:
        issuers: Authorization servers that its metadata names; without one there are no metadata.
    """
    return MailSettings(
        absolute_urls=True,
        well_known="redirect",
        hosts={
            "download": "usercontent",
            "upload2": "usercontent-shard",
            "events": "api-shard",
        },
        paths={
            "api": "/jmap/api/",
            "download": "/jmap/download/{accountId}/{blobId}/{name}?type={type}",
            "upload2": "/jmap/upload2/{accountId}/",
            "events": "/jmap/event/?types={types}&closeafter={closeafter}&ping={ping}",
        },
        capabilities=(
            Capability(BLOB2, {"uploadUrl": "upload2"}, {"maxSizeBlobSet": None}, of_server=False, of_account=True),
            Capability(MASKED_EMAIL, of_account=True),
        ),
        challenges=(challenge("Fastmail", ABSOLUTE_METADATA if issuers else ""),),
        protected_resource=protected_by(
            *issuers, resource=f"{ORIGIN}/jmap/session", scopes_supported=["urn:ietf:params:oauth:scope:mail"]
        ),
    )


def stalwart(*issuers: str) -> MailSettings:
    """Absolute URLs, nobody's Session for whoever shows no credentials, and the way to sign in (RFC 9728).

    Args:
        issuers: Authorization servers that its metadata names.
    """
    return MailSettings(
        absolute_urls=True,
        well_known="redirect",
        anonymous_session=True,
        paths={
            "api": "/jmap/",
            "events": "/jmap/eventsource/?types={types}&closeafter={closeafter}&ping={ping}",
        },
        capabilities=(_WEBSOCKET,),
        challenges=(
            challenge("Stalwart Server", RELATIVE_METADATA),
            'Basic realm="Stalwart Server"',
        ),
        refusal="problem",
        protected_resource={"authorization_servers": list(issuers), "bearer_methods_supported": ["header"]},
    )


def cyrus(*issuers: str) -> MailSettings:
    """Relative URLs, `wss:/jmap/ws/`, redirects to the host that it was asked at, and offers of HTTP/2.

    Args:
        issuers: Authorization servers that metadata beside it name, which it knows nothing of by itself.
    """
    return MailSettings(
        well_known="moved",
        paths={
            "api": "/jmap/",
            "events": "/jmap/eventsource/?types={types}&closeafter={closeafter}&ping={ping}",
            "websocket": "/jmap/ws/",
        },
        challenges=(
            challenge("mail.example.com", ABSOLUTE_METADATA if issuers else ""),
            'Basic realm="mail.example.com"',
        ),
        protected_resource=protected_by(*issuers),
        headers={"Alt-Svc": 'h2c=":8080"; ma=2592000', "Upgrade": "h2c", "Connection": "Upgrade"},
        mislabels_events=True,
    )


def twake(issuer: str = "") -> MailSettings:
    """Apache James with Twake Mail's extensions: behind a gateway's `/oidc/`, and convinced that it is localhost.

    Args:
        issuer: What WebFinger says at the host's root; without one there is no WebFinger. It has no RFC 9728.
    """
    return MailSettings(
        well_known="redirect",
        advertised_origin="http://localhost",
        mount="/oidc",
        paths={
            "api": "/jmap",
            "download": "/download/{accountId}/{blobId}?type={type}&name={name}",
            "upload": "/upload/{accountId}",
            "events": "/eventSource?types={types}&closeAfter={closeafter}&ping={ping}",
            "ticket": "/jmap/ws/ticket",
            "download-all": "/downloadAll/{accountId}/{emailId}?name={name}",
        },
        capabilities=(
            Capability(WEBSOCKET, {"url": "websocket"}, {"supportsPush": True}, of_account=True),
            Capability(TICKET, {"generationEndpoint": "ticket", "revocationEndpoint": "ticket"}, of_account=True),
            Capability(DOWNLOAD_ALL, {"endpoint": "download-all"}, of_account=True),
            Capability(PUBLIC_ASSETS, {}, {"publicURI": "http://localhost/publicAsset"}, of_account=True),
        ),
        challenges=('Bearer realm="james", error="invalid_token", scope="openid profile email"',),
        webfinger_issuer=issuer,
    )

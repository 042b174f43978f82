"""The identity provider's metadata: whether it is there, is this issuer's, and names no unsafe endpoint."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from jmap_proxy.doctor.finding import Finding, error, ok
from jmap_proxy.errors import ProviderError
from jmap_proxy.oauth.http import check_endpoint
from jmap_proxy.oauth.metadata import ProviderMetadata, metadata_urls, parse_metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jmap_proxy.oauth.http import Answer, ProviderHttp


class _Named(msgspec.Struct):
    """Who the document says that it is of."""

    issuer: str


async def ask_provider(http: ProviderHttp, issuer: str) -> list[tuple[str, Answer]]:
    """What the provider answers at the places of its metadata (RFC 8414 §3.1, OpenID Connect Discovery §4).

    Raises:
        ProviderError: it does not answer, or the issuer is no usable URL.
    """
    return [(url, await http.get(url)) for url in metadata_urls(issuer)]


def judge_metadata(
    name: str, issuer: str, answers: Sequence[tuple[str, Answer]]
) -> tuple[Finding, ProviderMetadata | None]:
    """What the answers are worth; the first good document counts. Pure.

    Args:
        name: The account.
        issuer: As it is configured, or as the tokens say.
        answers: Of `ask_provider`.
    """
    documents = [(url, answer.body) for url, answer in answers if answer.status == HTTPStatus.OK]
    findings = []
    for url, body in documents:
        finding, metadata = _judge_document(name, issuer, url, body)
        if metadata is not None:
            return finding, metadata
        findings.append(finding)
    if findings:
        return min(findings, key=lambda finding: finding.code == "metadata-malformed"), None
    seen = "; ".join(f"{url} answers {answer.status}" for url, answer in answers)
    return error("metadata-missing", f"no metadata of the issuer: {seen}", f"check accounts.{name}.issuer", name), None


def _judge_document(name: str, issuer: str, url: str, body: bytes) -> tuple[Finding, ProviderMetadata | None]:
    key = f"accounts.{name}.issuer"
    try:
        metadata = parse_metadata(body, issuer)
    except ProviderError as trouble:
        called = _called(body)
        if called is not None and called != issuer:
            what = f"{url} is the metadata of issuer {called!r}, not of {issuer!r}"
            mend = f'set {key} to exactly what the provider calls itself, if that is right: "{called}"'
            return error("issuer-mismatch", what, mend, name), None
        what = f"{url} holds no metadata: {trouble.detail}"
        return error("metadata-malformed", what, f"check {key}; else ask whoever runs the provider", name), None
    try:
        for endpoint in (metadata.token_endpoint, metadata.authorization_endpoint, metadata.jwks_uri):
            if endpoint:
                check_endpoint(endpoint)
    except ProviderError as trouble:
        mend = f"ask whoever runs the provider of {key} to publish https URLs"
        return error("endpoint-unsafe", f"{url}: {trouble.detail}", mend, name), None
    return ok("discovery", issuer, name), metadata


def _called(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_Named).issuer
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def judge_silence(name: str, trouble: ProviderError) -> Finding:
    """The finding for a provider that can be connected to, but does not answer. Pure."""
    mend = f"ask whoever runs the provider, or check accounts.{name}.issuer"
    return error("provider-silent", trouble.detail, mend, name)

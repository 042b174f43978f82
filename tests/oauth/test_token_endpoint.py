from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jmap_proxy.errors import ProviderError
from jmap_proxy.sandbox import Fault
from jmap_proxy.tokens.outcome import Refreshed, Rejected, Transient
from tests.oauth.helpers import Parts, token_set

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from tests.support.clock import Clock


async def test_a_refresh_gives_new_tokens(parts: Parts, idp: IdentityProvider) -> None:
    """The refresh token is sent with the client's id, and without a resource where none is configured."""
    tokens, _ = await parts.sign_in()
    outcome = await parts.endpoint.refresh(tokens)
    assert isinstance(outcome, Refreshed)
    assert idp.check(outcome.access_token) == "demo"
    assert idp.token_requests[-1].form == {
        "grant_type": "refresh_token",
        "refresh_token": tokens.refresh_token,
        "client_id": "jmap-proxy",
    }


async def test_a_configured_resource_is_sent(session: ClientSession, clock: Clock, idp: IdentityProvider) -> None:
    """RFC 8707: with the code and with each refresh."""
    parts = Parts(session, clock, idp.issuer, resource="https://mail.example/session")
    tokens, _ = await parts.sign_in()
    await parts.endpoint.refresh(tokens)
    assert idp.authorize_requests[-1]["resource"] == "https://mail.example/session"
    assert [request.form["resource"] for request in idp.token_requests] == ["https://mail.example/session"] * 2


@pytest.mark.parametrize("methods", [["client_secret_basic"], ["client_secret_post"]])
async def test_a_confidential_client_proves_itself(
    session: ClientSession, clock: Clock, idp: IdentityProvider, methods: list[str]
) -> None:
    """By Basic, or by form where the provider wants that; `client_id` stands in the form either way."""
    idp.settings.client_secret = "s3cret/+ %"
    idp.settings.metadata_overrides = {"token_endpoint_auth_methods_supported": methods}
    parts = Parts(session, clock, idp.issuer, client_secret="s3cret/+ %")
    tokens, _ = await parts.sign_in()
    assert isinstance(await parts.endpoint.refresh(tokens), Refreshed)
    assert await parts.endpoint.revoke(tokens)
    by_form = methods == ["client_secret_post"]
    for request in idp.token_requests:
        assert request.form["client_id"] == "jmap-proxy"
        assert ("client_secret" in request.form) is by_form
        assert bool(request.authorization) is not by_form


async def test_a_wrong_secret_is_transient(session: ClientSession, clock: Clock, idp: IdentityProvider) -> None:
    """`invalid_client` is mended in the configuration; the tokens are not given up for it."""
    idp.settings.client_secret = "right"
    outcome = await Parts(session, clock, idp.issuer, client_secret="wrong").endpoint.refresh(token_set(idp.issuer))
    assert isinstance(outcome, Transient)
    assert "invalid_client" in outcome.reason


@pytest.mark.parametrize("changes", [{"issuer": "https://other.example"}, {"client_id": "another"}])
async def test_a_refresh_token_goes_to_its_own_issuer_only(
    parts: Parts, idp: IdentityProvider, changes: dict[str, str]
) -> None:
    """Tokens of another issuer or client are refused here, and nothing is sent."""
    outcome = await parts.endpoint.refresh(token_set(**{"issuer": idp.issuer, **changes}))
    assert isinstance(outcome, Transient)
    assert outcome.client_refused
    assert idp.token_requests == []
    assert idp.metadata_requests == 0


async def test_a_gone_grant_is_rejected(parts: Parts, idp: IdentityProvider) -> None:
    """The provider's definite no comes through."""
    tokens, _ = await parts.sign_in()
    idp.revoke_grants()
    assert await parts.endpoint.refresh(tokens) == Rejected("invalid_grant")


@pytest.mark.parametrize(
    "fault",
    [Fault(status=503, headers={"Retry-After": "9"}), Fault(drop=True), Fault(drop_early=True), Fault(garbage=True)],
)
async def test_trouble_is_transient_and_tells_no_secret(parts: Parts, idp: IdentityProvider, fault: Fault) -> None:
    """Whatever goes wrong on the way, nothing is raised and the reason holds no token."""
    idp.faults.add("token", fault)
    outcome = await parts.endpoint.refresh(token_set(idp.issuer))
    assert isinstance(outcome, Transient)
    assert "refresh-secret" not in repr(outcome)
    assert outcome.retry_after == (9 if fault.headers else 1 if fault.drop or fault.drop_early else None)


async def test_no_metadata_is_transient(parts: Parts, idp: IdentityProvider) -> None:
    """A provider whose metadata cannot be had gets nothing sent."""
    idp.faults.add("metadata", Fault(status=500, count=-1))
    assert isinstance(await parts.endpoint.refresh(token_set(idp.issuer)), Transient)
    assert idp.token_requests == []


async def test_a_plain_token_endpoint_gets_nothing(parts: Parts, idp: IdentityProvider) -> None:
    """An endpoint over http off this machine: the refresh token stays here."""
    idp.settings.metadata_overrides = {"token_endpoint": "http://sso.example/token"}
    outcome = await parts.endpoint.refresh(token_set(idp.issuer))
    assert isinstance(outcome, Transient)
    assert "plain http" in outcome.reason


async def test_revoking_ends_the_grant(parts: Parts, idp: IdentityProvider) -> None:
    """The refresh token is revoked, and with it the access token."""
    tokens, _ = await parts.sign_in()
    assert await parts.endpoint.revoke(tokens)
    assert idp.check(tokens.access_token) is None
    assert await parts.endpoint.refresh(tokens) == Rejected("invalid_grant")


async def test_without_a_refresh_token_the_access_token_is_revoked(parts: Parts, idp: IdentityProvider) -> None:
    """There is nothing else to revoke."""
    idp.settings.refresh_tokens = False
    tokens, _ = await parts.sign_in()
    assert tokens.refresh_token == ""
    assert await parts.endpoint.revoke(tokens)
    assert idp.check(tokens.access_token) is None


async def test_a_revocation_that_is_not_confirmed_says_so(parts: Parts, idp: IdentityProvider) -> None:
    """Another issuer's tokens, an error answer, or a provider that offers no revocation."""
    assert not await parts.endpoint.revoke(token_set("https://other.example"))
    assert idp.metadata_requests == 0
    idp.faults.add("revoke", Fault(status=503))
    assert not await parts.endpoint.revoke(token_set(idp.issuer))


async def test_a_provider_may_not_offer_revocation(parts: Parts, idp: IdentityProvider) -> None:
    """RFC 7009 is optional."""
    idp.settings.metadata_overrides = {"revocation_endpoint": None}
    assert not await parts.endpoint.revoke(token_set(idp.issuer))


async def test_a_revocation_that_gets_no_answer_is_an_error(parts: Parts, idp: IdentityProvider) -> None:
    """The caller decides what to make of it; a plain http endpoint counts the same."""
    idp.faults.add("revoke", Fault(drop_early=True))
    with pytest.raises(ProviderError):
        await parts.endpoint.revoke(token_set(idp.issuer))


async def test_a_revocation_never_goes_over_plain_http(parts: Parts, idp: IdentityProvider) -> None:
    """The token to be revoked is a secret until it is."""
    idp.settings.metadata_overrides = {"revocation_endpoint": "http://sso.example/revoke"}
    with pytest.raises(ProviderError, match="plain http"):
        await parts.endpoint.revoke(token_set(idp.issuer))


async def test_a_token_endpoint_that_moves_is_followed(parts: Parts, idp: IdentityProvider) -> None:
    """Cached metadata that leads nowhere is asked for anew; nothing is lost by it."""
    tokens, _ = await parts.sign_in()
    idp.settings.metadata_overrides = {"token_endpoint": f"{idp.issuer}/moved-away"}
    parts.discovery.doubt(idp.issuer)
    outcome = await parts.endpoint.refresh(tokens)
    assert isinstance(outcome, Transient)
    assert "404" in outcome.reason
    idp.settings.metadata_overrides = {}
    assert isinstance(await parts.endpoint.refresh(tokens), Refreshed)


@pytest.mark.parametrize("status", [101, 200, 204, 303, 400, 403, 500, 502])
async def test_whatever_a_token_endpoint_leaves_behind_it_is_followed(
    parts: Parts, idp: IdentityProvider, status: int
) -> None:
    """Where it was there can be a web page, a firewall or a gateway; the metadata is asked for anew at once."""
    tokens, _ = await parts.sign_in()
    asked = idp.metadata_requests
    idp.faults.add("token", Fault(status=status, body=b"<!doctype html>", content_type="text/html"))
    assert isinstance(await parts.endpoint.refresh(tokens), Transient)
    assert isinstance(await parts.endpoint.refresh(tokens), Refreshed)
    assert idp.metadata_requests == asked + 1


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [(503, b"", {"Retry-After": "5"}), (429, b"", {"Retry-After": "5"}), (401, b'{"error": "invalid_client"}', {})],
)
async def test_a_token_endpoint_that_is_there_is_not_doubted(
    parts: Parts, idp: IdentityProvider, status: int, body: bytes, headers: dict[str, str]
) -> None:
    """It says when to come again, or what it does not like: asking for the metadata too would only add to its load."""
    tokens, _ = await parts.sign_in()
    asked = idp.metadata_requests
    idp.faults.add("token", Fault(status=status, body=body, headers=headers))
    assert isinstance(await parts.endpoint.refresh(tokens), Transient)
    assert isinstance(await parts.endpoint.refresh(tokens), Refreshed)
    assert idp.metadata_requests == asked

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from jmap_proxy.errors import SignInError
from jmap_proxy.oauth.client_key import parse_client_key
from jmap_proxy.sandbox import Fault
from jmap_proxy.tokens.outcome import Refreshed, Transient
from jmap_proxy.tokens.window import Freshness, Window
from tests.oauth.helpers import Parts

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from tests.support.clock import Clock

SECRET = "s3cret/+ %"


@pytest.fixture
def robot(session: ClientSession, clock: Clock, idp: IdentityProvider) -> Parts:
    """A client that signs in as itself."""
    idp.settings.client_secret = SECRET
    idp.settings.user = "robot"
    return Parts(session, clock, idp.issuer, client_secret=SECRET, scopes=("openid", "offline_access", "mail"))


async def test_a_client_signs_in_as_itself(robot: Parts, idp: IdentityProvider, clock: Clock) -> None:
    """Without a browser; scopes that mean a user are not asked for, and no ID token is looked for."""
    tokens = await robot.flow.by_client_credentials("robot")
    assert idp.check(tokens.access_token) == "robot"
    assert (tokens.grant_type, tokens.refresh_token, tokens.subject) == ("client_credentials", "", "")
    assert (tokens.obtained_at, tokens.expires_at) == (clock.now, clock.now + 3600)
    assert idp.authorize_requests == []
    form = {"grant_type": "client_credentials", "scope": "mail", "client_id": "jmap-proxy"}
    assert idp.token_requests[0].form == form


async def test_its_tokens_are_renewed_in_the_same_way(robot: Parts, idp: IdentityProvider, clock: Clock) -> None:
    """They count as renewable, are due before their end, and never get a refresh token."""
    tokens = await robot.flow.by_client_credentials("robot")
    assert tokens.renewable
    assert Window.of(tokens).freshness(clock.now + 3500) is not Freshness.FRESH
    body = b'{"access_token": "next", "token_type": "Bearer", "refresh_token": "unasked"}'
    idp.faults.add("token", Fault(body=body))
    for _ in range(2):
        outcome = await robot.endpoint.refresh(tokens)
        assert isinstance(outcome, Refreshed)
        tokens = tokens.renewed(outcome, obtained_at=clock.now)
        assert (tokens.refresh_token, tokens.grant_type) == ("", "client_credentials")
    assert [request.grant_type for request in idp.token_requests] == ["client_credentials"] * 3
    assert idp.check(tokens.access_token) == "robot"


async def test_without_scopes_none_are_named(session: ClientSession, clock: Clock, idp: IdentityProvider) -> None:
    """The provider knows what the client may."""
    idp.settings.client_secret = SECRET
    parts = Parts(session, clock, idp.issuer, client_secret=SECRET, resource="https://mail.example")
    tokens = await parts.flow.by_client_credentials("robot")
    assert "scope" not in idp.token_requests[0].form
    assert idp.token_requests[0].form["resource"] == tokens.resource == "https://mail.example"


@pytest.mark.parametrize("error", ["invalid_grant", "unauthorized_client", "invalid_client"])
async def test_there_is_no_grant_to_lose(robot: Parts, idp: IdentityProvider, error: str) -> None:
    """Whatever the provider calls it: its settings of the client are wrong, no user could mend it by a sign-in."""
    tokens = await robot.flow.by_client_credentials("robot")
    idp.faults.add("token", Fault(status=400, body=f'{{"error": "{error}"}}'.encode(), count=2))
    outcome = await robot.endpoint.refresh(tokens)
    assert isinstance(outcome, Transient)
    assert outcome.client_refused
    with pytest.raises(SignInError, match=error):
        await robot.flow.by_client_credentials("robot")


async def test_trouble_is_as_ever(robot: Parts, idp: IdentityProvider) -> None:
    """It passes."""
    tokens = await robot.flow.by_client_credentials("robot")
    idp.faults.add("token", Fault(status=503))
    outcome = await robot.endpoint.refresh(tokens)
    assert isinstance(outcome, Transient)
    assert not outcome.client_refused


async def test_its_token_can_be_revoked(robot: Parts, idp: IdentityProvider) -> None:
    """There is no other one than the access token."""
    tokens = await robot.flow.by_client_credentials("robot")
    assert await robot.endpoint.revoke(tokens)
    assert idp.check(tokens.access_token) is None


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (RSAKey.generate_key(2048), ("RS256", "PS256", "ES256")),
        (RSAKey.generate_key(2048), ("PS256",)),
        (ECKey.generate_key("P-256"), ("ES256",)),
    ],
    ids=["RS256", "PS256", "ES256"],
)
@pytest.mark.parametrize("pushed", [False, True])
async def test_a_key_proves_the_client_everywhere(
    session: ClientSession,
    clock: Clock,
    idp: IdentityProvider,
    key: RSAKey | ECKey,
    algorithms: tuple[str, ...],
    *,
    pushed: bool,
) -> None:
    """At the token, pushed request, device and revocation endpoints; each assertion is used once, for the issuer."""
    idp.settings.client_jwks = {"keys": [key.as_dict(private=False)]}
    idp.settings.metadata_overrides = {"token_endpoint_auth_signing_alg_values_supported": list(algorithms)}
    idp.settings.require_pushed_authorization_requests = pushed
    parts = Parts(session, clock, idp.issuer, client_key=parse_client_key(key.as_pem(private=True)))
    tokens, _ = await parts.sign_in()
    assert isinstance(await parts.endpoint.refresh(tokens), Refreshed)
    assert (await parts.flow.by_client_credentials("robot")).generation == 1
    assert await parts.endpoint.revoke(tokens)
    forms: list[dict[str, Any]] = [*idp.pushed_requests, *(r.form for r in (*idp.token_requests, *idp.revocations))]
    assert len(forms) == 4 + pushed
    decoded = [jwt.decode(form["client_assertion"], key, algorithms=["RS256", "PS256", "ES256"]) for form in forms]
    assert {token.header["alg"] for token in decoded} == {algorithms[0]}
    assert {token.claims["aud"] for token in decoded} == {idp.issuer}
    assert len({token.claims["jti"] for token in decoded}) == len(forms)

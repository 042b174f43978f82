from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from jmap_proxy.oauth.client_renewal import PAUSE, ClientRenewal
from jmap_proxy.oauth.registration import register
from jmap_proxy.sandbox import Fault
from jmap_proxy.tokens.outcome import Refreshed, Rejected, Transient
from tests.oauth.helpers import Parts

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from jmap_proxy.tokens.tokenset import TokenSet
    from tests.support.clock import Clock

URIS = ("http://127.0.0.1/callback",)


class Registered:
    """A client that has registered and signed in, and what renews its tokens."""

    def __init__(self, parts: Parts, tokens: TokenSet, clock: Clock) -> None:
        self.tokens = tokens
        self.renewal = ClientRenewal(parts.endpoint, parts.http, parts.discovery, ("openid",), clock)


@pytest.fixture
async def one(session: ClientSession, clock: Clock, idp: IdentityProvider) -> Registered:
    """Such a client; what the configuration says of it is nothing."""
    idp.settings.registration = "open"
    parts = Parts(session, clock, idp.issuer)
    provider = await parts.discovery.metadata(idp.issuer)
    made = await register(provider, parts.http, redirect_uris=URIS, scopes=(), client_name="jmap-proxy", now=clock())
    signing_in = Parts(session, clock, idp.issuer, client_id=made.client_id)
    tokens, _ = await signing_in.sign_in()
    nobody = Parts(session, clock, "", client_id="")
    return Registered(nobody, msgspec.structs.replace(tokens, registration=made), clock)


async def test_a_client_that_is_known_goes_on(one: Registered, idp: IdentityProvider) -> None:
    """Nothing is registered."""
    outcome = await one.renewal.refresh(one.tokens)
    assert isinstance(outcome, Refreshed)
    assert outcome.registration is None
    assert len(idp.registrations) == 1


async def test_a_forgotten_client_is_told_with_what_helps(one: Registered, idp: IdentityProvider) -> None:
    """The refresh token is the old client's; the tokens stay, and the new client is not left behind."""
    idp.forget_clients()
    outcome = await one.renewal.refresh(one.tokens)
    assert isinstance(outcome, Transient)
    assert outcome.client_refused
    assert outcome.error == "invalid_client"
    assert outcome.mend == "run: jmap-proxy login alice"
    assert one.tokens.refresh_token not in repr(outcome)
    assert len(idp.registrations) == 2
    assert idp.registered_clients == []
    assert [each.outcome for each in idp.token_requests[1:]] == ["invalid_client", "invalid_grant"]


async def test_there_is_no_storm_of_registrations(one: Registered, idp: IdentityProvider, clock: Clock) -> None:
    """One an hour at most; what is told stays the same."""
    idp.forget_clients()
    first = await one.renewal.refresh(one.tokens)
    for _ in range(5):
        clock.now += 60
        assert await one.renewal.refresh(one.tokens) == first
    assert len(idp.registrations) == 2
    clock.now += PAUSE
    await one.renewal.refresh(one.tokens)
    assert len(idp.registrations) == 3


async def test_a_client_that_comes_back_goes_on(one: Registered, idp: IdentityProvider) -> None:
    """The provider had lost its memory for a while: the old client was kept."""
    forgotten = dict(idp._clients._registered)
    idp.forget_clients()
    assert isinstance(await one.renewal.refresh(one.tokens), Transient)
    idp._clients._registered.update(forgotten)
    assert isinstance(await one.renewal.refresh(one.tokens), Refreshed)


async def test_a_new_client_goes_on_where_it_may(one: Registered, idp: IdentityProvider) -> None:
    """Some providers do not bind refresh tokens to clients; the new registration comes with the tokens."""
    idp.forget_clients()
    idp.faults.add("token", Fault(status=401, body=b'{"error": "invalid_client"}'))
    idp.faults.add("token", Fault(body=b'{"access_token": "a", "token_type": "Bearer", "refresh_token": "r"}'))
    outcome = await one.renewal.refresh(one.tokens)
    assert isinstance(outcome, Refreshed)
    assert outcome.registration is not None
    assert [outcome.registration.client_id] == idp.registered_clients
    renewed = one.tokens.renewed(outcome, obtained_at=0)
    assert renewed.client_id == outcome.registration.client_id
    assert set(idp.registrations[-1]["scope"].split()) == {"openid"}


async def test_a_program_that_lives_a_moment_registers_nobody(
    one: Registered, idp: IdentityProvider, clock: Clock
) -> None:
    """A script may ask for a token each minute; it is told what helps all the same."""
    idp.forget_clients()
    parts = one.renewal
    brief = ClientRenewal(parts._endpoint, parts._http, parts._discovery, (), clock, may_register=False)
    outcome = await brief.refresh(one.tokens)
    assert isinstance(outcome, Transient)
    assert outcome.mend == "run: jmap-proxy login alice"
    assert len(idp.registrations) == 1


@pytest.mark.parametrize("setting", [{"registration": "off"}, {"registration_refusal": "invalid_client_metadata"}])
async def test_where_no_client_can_register_it_is_told(
    one: Registered, idp: IdentityProvider, setting: dict[str, str]
) -> None:
    """As ever: only the user can help."""
    idp.forget_clients()
    for name, value in setting.items():
        setattr(idp.settings, name, value)
    one.renewal._discovery.doubt(idp.issuer)
    outcome = await one.renewal.refresh(one.tokens)
    assert isinstance(outcome, Transient)
    assert outcome.mend


async def test_a_client_that_is_refused_and_known_is_not_replaced(one: Registered, idp: IdentityProvider) -> None:
    """Its entry is there: it is something else that is wrong."""
    idp.faults.add("token", Fault(status=401, body=b'{"error": "invalid_client"}', count=-1))
    outcome = await one.renewal.refresh(one.tokens)
    assert isinstance(outcome, Transient)
    assert outcome.mend
    assert len(idp.registrations) == 1


async def test_trouble_on_the_way_keeps_everything(one: Registered, idp: IdentityProvider) -> None:
    """The provider falls silent while the new client asks: that is not known to have failed."""
    idp.forget_clients()
    idp.faults.add("token", Fault(status=401, body=b'{"error": "invalid_client"}'))
    idp.faults.add("token", Fault(drop=True))
    outcome = await one.renewal.refresh(one.tokens)
    assert isinstance(outcome, Transient)
    assert outcome.answer_lost
    assert len(idp.registered_clients) == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=400, body=b'{"error": "invalid_grant"}'), Rejected),
        (Fault(status=503), Transient),
        (Fault(status=400, body=b'{"error": "invalid_scope"}'), Transient),
    ],
)
async def test_other_answers_are_as_they_are(
    one: Registered, idp: IdentityProvider, fault: Fault, expected: type
) -> None:
    """Only a client that is not known is a reason to register."""
    idp.faults.add("token", fault)
    outcome = await one.renewal.refresh(one.tokens)
    assert isinstance(outcome, expected)
    assert getattr(outcome, "mend", "") == ""
    assert len(idp.registrations) == 1


async def test_a_configured_client_is_never_replaced(parts: Parts, idp: IdentityProvider, clock: Clock) -> None:
    """Who it is stands in the configuration."""
    idp.settings.registration = "open"
    tokens, _ = await parts.sign_in()
    idp.settings.client_id = "renamed"
    renewal = ClientRenewal(parts.endpoint, parts.http, parts.discovery, (), clock)
    outcome = await renewal.refresh(tokens)
    assert isinstance(outcome, Transient)
    assert outcome.error == "invalid_client"
    assert outcome.mend == ""
    assert idp.registrations == []

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.sandbox import Fault, browse
from tests.oauth.helpers import Parts

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.oauth.device import DevicePrompt
    from jmap_proxy.sandbox import IdentityProvider
    from jmap_proxy.tokens.tokenset import TokenSet
    from tests.support.clock import Clock


@pytest.fixture(autouse=True)
def with_devices(idp: IdentityProvider) -> None:
    """The provider has the device flow."""
    idp.settings.device = True
    idp.settings.user = "ann"


async def sign_in(parts: Parts, idp: IdentityProvider, *, after: int = 0, press: str = "allow") -> TokenSet:
    """Sign in on a device; the user decides after so many polls, -1 for never."""
    prompts: asyncio.Queue[DevicePrompt] = asyncio.Queue()
    waiting = asyncio.ensure_future(parts.flow.by_device("alice", prompts.put_nowait))

    async def decide() -> None:
        prompt = await prompts.get()
        await idp.polled(after)
        await browse(prompt.verification_uri_complete, press=press)

    if after < 0:
        return await waiting
    try:
        await asyncio.gather(decide(), waiting)
    finally:
        waiting.cancel()
    return waiting.result()


async def test_the_user_decides_elsewhere(parts: Parts, idp: IdentityProvider, clock: Clock) -> None:
    """Tokens with absolute times and a checked subject, although there can be no nonce."""
    began = clock.now
    tokens = await sign_in(parts, idp, after=2)
    assert idp.check(tokens.access_token) == "ann"
    assert (tokens.subject, tokens.generation, tokens.grant_type) == ("ann", 1, "refresh_token")
    assert tokens.obtained_at == clock.now > began
    assert tokens.refresh_token
    assert set(parts.naps) == {5}
    assert idp.token_requests[0].form["client_id"] == "jmap-proxy"


async def test_what_is_asked_for_is_what_the_client_wants(
    session: ClientSession, clock: Clock, idp: IdentityProvider
) -> None:
    """Scopes and resource, with the client's proof; a bare one sends its name alone."""
    idp.settings.client_secret = "s3cret"
    parts = Parts(session, clock, idp.issuer, client_secret="s3cret", resource="https://mail.example")
    await sign_in(parts, idp)
    asked = {"client_id": "jmap-proxy", "scope": "openid", "resource": "https://mail.example"}
    assert idp.device_requests == [asked]
    idp.settings.client_secret = ""
    await sign_in(Parts(session, clock, idp.issuer, scopes=()), idp)
    assert idp.device_requests[1] == {"client_id": "jmap-proxy"}


async def test_slow_down_is_obeyed_for_good(parts: Parts, idp: IdentityProvider) -> None:
    """Five seconds more each time, and no less afterwards."""
    idp.slow_down(2)
    await sign_in(parts, idp, after=4)
    assert parts.naps[:5] == [5, 10, 15, 15, 15]


@pytest.mark.parametrize(("said", "kept"), [(None, 5), (1, 1), (12, 12)])
async def test_the_pace_is_the_providers(parts: Parts, idp: IdentityProvider, said: int | None, kept: int) -> None:
    """Five seconds where it says nothing (RFC 8628 §3.2)."""
    idp.settings.device_interval = said
    await sign_in(parts, idp, after=2)
    assert set(parts.naps) == {kept}


async def test_no_answer_slows_down(parts: Parts, idp: IdentityProvider) -> None:
    """Twice the time after each, and the sign-in goes on; Retry-After counts once."""
    idp.faults.add("token", Fault(drop_early=True, count=2))
    idp.faults.add("token", Fault(status=429, headers={"Retry-After": "90"}))
    await sign_in(parts, idp, after=4)
    assert parts.naps[:5] == [5, 10, 20, 90, 40]


async def test_a_refusal_is_told(parts: Parts, idp: IdentityProvider) -> None:
    """With what to do."""
    with pytest.raises(SignInError, match="was refused") as caught:
        await sign_in(parts, idp, after=1, press="deny")
    assert caught.value.hint


async def test_a_code_that_nobody_enters_ends(parts: Parts, idp: IdentityProvider, clock: Clock) -> None:
    """When its life is over, whether or not the provider says so; it is not asked for ever."""
    began = clock.now
    idp.settings.device_code_life = 60
    with pytest.raises(SignInError, match="nobody entered the code in time"):
        await sign_in(parts, idp, after=-1)
    assert clock.now - began <= 60
    assert len(idp.token_requests) == 11


async def test_a_code_that_is_lost_ends(parts: Parts, idp: IdentityProvider) -> None:
    """The provider was started anew, and knows nothing of it."""
    idp.faults.add("token", Fault(status=400, body=b'{"error": "expired_token"}'))
    with pytest.raises(SignInError, match="in time"):
        await sign_in(parts, idp, after=-1)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"device": False}, "offers no sign-in on another device"),
        ({"client_id": "other"}, "invalid_client"),
        ({"refuse_scopes": True, "scopes": ("mail",)}, "invalid_scope"),
    ],
)
async def test_where_it_does_not_begin_it_is_told(
    parts: Parts, idp: IdentityProvider, settings: dict[str, Any], told: str
) -> None:
    """Before anything is shown; the other ways are named."""
    for name, value in settings.items():
        setattr(idp.settings, name, value)
    with pytest.raises(SignInError, match=told) as caught:
        await parts.flow.by_device("alice", lambda _: pytest.fail("a code was shown"))
    assert "--paste" in caught.value.hint


async def test_the_user_is_not_sent_to_an_unsafe_place(parts: Parts, idp: IdentityProvider) -> None:
    """A code that is typed into a page over plain http is everybody's."""
    body = b'{"device_code": "d", "user_code": "u", "verification_uri": "http://sso.example/device"}'
    idp.faults.add("device", Fault(body=body))
    with pytest.raises(ProviderError, match="plain http"):
        await parts.flow.by_device("alice", lambda _: pytest.fail("a code was shown"))


async def test_giving_up_asks_no_more(parts: Parts, idp: IdentityProvider) -> None:
    """A sign-in that is cancelled while it waits."""
    shown = asyncio.Event()
    waiting = asyncio.create_task(parts.flow.by_device("alice", lambda _: shown.set()))
    await shown.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    asked = len(idp.token_requests)
    await asyncio.sleep(0)
    assert len(idp.token_requests) == asked

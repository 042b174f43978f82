from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.sandbox import Fault, browse
from jmap_proxy.sandbox.provider_settings import DEVICE_CODE

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from tests.sandbox.helpers import Person
    from tests.support.clock import Clock


@pytest.fixture(autouse=True)
def _on(idp: IdentityProvider) -> None:
    idp.settings.device = True


async def start(idp: IdentityProvider, http: ClientSession, **form: str) -> tuple[int, dict[str, Any]]:
    """Ask for codes."""
    sent = {"client_id": "jmap-proxy", "scope": "openid offline_access", **form}
    async with http.post(f"{idp.issuer}/device_authorization", data=sent) as response:
        return response.status, await response.json()


async def poll(person: Person, device: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Ask whether the user has decided."""
    return await person.token(grant_type=DEVICE_CODE, device_code=device["device_code"])


async def test_a_device_gets_tokens_when_its_user_allows_it(
    idp: IdentityProvider, http: ClientSession, person: Person, clock: Clock
) -> None:
    """The answer has all of RFC 8628 §3.2; the robot allows; the device then has tokens with a refresh token."""
    _, device = await start(idp, http)
    assert (device["expires_in"], device["interval"]) == (600, 5)
    assert (await poll(person, device))[1]["error"] == "authorization_pending"
    status, page = await browse(device["verification_uri_complete"])
    assert (status, "allowed" in page) == (200, True)
    clock.now += 5
    status, answer = await poll(person, device)
    assert status == 200
    assert idp.check(answer["access_token"]) == "demo"
    assert (await person.refresh(answer["refresh_token"]))[0] == 200
    assert idp.device_requests == [{"client_id": "jmap-proxy", "scope": "openid offline_access"}]


async def test_the_user_types_the_code(idp: IdentityProvider, http: ClientSession, person: Person) -> None:
    """At the page without one."""
    _, device = await start(idp, http)
    assert (await browse(device["verification_uri"]))[0] == 400
    await browse(device["verification_uri"], typed=device["user_code"].lower())
    assert (await poll(person, device))[0] == 200


@pytest.mark.parametrize("by_setting", [True, False])
async def test_the_user_can_refuse(
    idp: IdentityProvider, http: ClientSession, person: Person, *, by_setting: bool
) -> None:
    """By the button or by the setting; a second decision changes nothing."""
    _, device = await start(idp, http)
    idp.settings.deny = by_setting
    _, page = await browse(device["verification_uri_complete"], press="" if by_setting else "deny")
    assert "refused" in page
    idp.settings.deny = False
    assert (await browse(device["verification_uri_complete"]))[0] == 400
    assert (await poll(person, device))[1]["error"] == "access_denied"


async def test_an_answer_may_leave_things_out(idp: IdentityProvider, http: ClientSession) -> None:
    """The interval and the complete URL are optional (RFC 8628 §3.2)."""
    idp.settings.device_interval = None
    idp.settings.verification_uri_complete = False
    _, device = await start(idp, http)
    assert device.keys() == {"device_code", "user_code", "verification_uri", "expires_in"}


async def test_a_test_can_wait_for_polls(idp: IdentityProvider, http: ClientSession, person: Person) -> None:
    """`polled` returns when so many have been answered, whatever the answer, and not before."""
    _, device = await start(idp, http)
    waiting = asyncio.create_task(idp.polled(2))
    idp.slow_down()
    assert (await poll(person, device))[1]["error"] == "slow_down"
    assert not waiting.done()
    idp.faults.add("token", Fault(status=400, body=b'{"error": "authorization_pending"}', headers=NO_STORE))
    await poll(person, device)
    async with asyncio.timeout(2):
        await waiting
    await idp.polled()


NO_STORE = {"Cache-Control": "no-store"}


@pytest.mark.parametrize(
    ("form", "error"), [({"client_id": "other"}, "invalid_client"), ({"scope": "nonsense"}, "invalid_scope")]
)
async def test_an_unsound_request_gets_no_codes(
    idp: IdentityProvider, http: ClientSession, form: dict[str, str], error: str
) -> None:
    """Client and scopes are checked as elsewhere."""
    idp.settings.refuse_scopes = True
    assert (await start(idp, http, **form))[1]["error"] == error


async def test_without_the_setting_there_is_no_device_flow(
    idp: IdentityProvider, http: ClientSession, person: Person
) -> None:
    """No endpoint, and no such grant type."""
    idp.settings.device = False
    async with http.post(f"{idp.issuer}/device_authorization", data={"client_id": "jmap-proxy"}) as response:
        assert response.status == 404
    assert (await person.token(grant_type=DEVICE_CODE, device_code="x"))[1]["error"] == "unsupported_grant_type"


async def test_a_client_that_is_gone_gets_nothing(idp: IdentityProvider, http: ClientSession) -> None:
    """Between the device's request and the user's decision it may be forgotten."""
    _, device = await start(idp, http)
    idp.settings.client_id = "other"
    assert (await browse(device["verification_uri_complete"]))[0] == 400

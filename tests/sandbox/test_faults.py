from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientError, ClientSession, ServerDisconnectedError

from jmap_proxy.sandbox import Fault, Faults, IdentityProvider, MailServer
from tests.sandbox.helpers import Person, until


async def seen_by(idp: IdentityProvider, http: ClientSession) -> None:
    """Return once the provider has seen what happened on other connections: a round trip takes longer."""
    async with http.get(f"{idp.issuer}/jwks") as response:
        assert response.status == 200


def test_count_says_how_many_requests_are_hit() -> None:
    """A fault hits as many requests as its count says, then the next one added has its turn."""
    faults = Faults()
    first, second = faults.add("api", Fault(count=2)), faults.add("api", Fault())
    assert [faults.take("api") for _ in range(4)] == [first, first, second, None]


def test_a_fault_without_end_hits_every_request_until_cleared() -> None:
    """Count -1 means all requests, at this place and no other, until `clear`."""
    faults = Faults()
    fault = faults.add("api", Fault(count=-1))
    assert all(faults.take("api") is fault for _ in range(50))
    assert faults.take("token") is None
    faults.clear()
    assert faults.take("api") is None


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault(status=503), 503, b""),
        (Fault(body=b""), 200, b""),
        (Fault(status=429, body=b"slow"), 429, b"slow"),
        (Fault(garbage=True), 200, b"\x00\xff<html>this is not JSON"),
    ],
)
async def test_a_fault_answers_in_the_endpoints_place(
    idp: IdentityProvider, http: ClientSession, fault: Fault, status: int, body: bytes
) -> None:
    """Status, body and garbage are answered as they are, with headers, and the endpoint is not asked."""
    fault.headers["Retry-After"] = "7"
    idp.faults.add("jwks", fault)
    async with http.get(f"{idp.issuer}/jwks") as response:
        assert (response.status, await response.read()) == (status, body)
        assert response.headers["Retry-After"] == "7"
    async with http.get(f"{idp.issuer}/jwks") as response:
        assert "keys" in await response.json()


async def test_a_body_can_be_taken_in_before_the_token_is_looked_at() -> None:
    """As at a server that refuses an upload half-way: so many bytes are read, then the request is handled."""
    good = {"token": "demo"}
    async with MailServer(good.get) as mail, ClientSession(headers={"Authorization": "Bearer token"}) as http:
        fault = mail.faults.add("upload", Fault(take=600_000, hold=asyncio.Event()))
        upload = asyncio.create_task(http.post(f"{mail.base_url}/jmap/upload/u-demo/", data=bytes(600_000)))
        await fault.took.wait()
        good.clear()
        assert fault.hold is not None
        fault.hold.set()
        async with await upload as response:
            assert response.status == 401
    assert mail.uploads == {}


async def test_headers_alone_are_added_to_the_true_answer(idp: IdentityProvider, http: ClientSession) -> None:
    """A fault that only has headers leaves the answer itself alone."""
    idp.faults.add("jwks", Fault(headers={"Alt-Svc": "h2c"}))
    async with http.get(f"{idp.issuer}/jwks") as response:
        assert response.headers["Alt-Svc"] == "h2c"
        assert "keys" in await response.json()


async def test_drop_commits_and_loses_the_answer(idp: IdentityProvider, person: Person) -> None:
    """After `drop` the refresh token is spent although its successor never arrived."""
    idp.settings.revoke_on_reuse = False
    token = (await person.sign_in())["refresh_token"]
    idp.faults.add("token", Fault(drop=True))
    with pytest.raises(ClientError):
        await person.refresh(token)
    assert idp.token_requests[-1].outcome == "ok"
    assert (await person.refresh(token))[1]["error"] == "invalid_grant"


async def test_drop_early_leaves_everything_as_it_was(idp: IdentityProvider, person: Person) -> None:
    """After `drop_early` the refresh token is still good."""
    token = (await person.sign_in())["refresh_token"]
    idp.faults.add("token", Fault(drop_early=True))
    with pytest.raises(ServerDisconnectedError):
        await person.refresh(token)
    assert idp.token_requests[-1].outcome == "gone"
    assert (await person.refresh(token))[0] == 200


async def test_hold_waits_for_the_event(idp: IdentityProvider, person: Person) -> None:
    """A held request waits, visibly, and is answered once it is released."""
    token = (await person.sign_in())["refresh_token"]
    hold = asyncio.Event()
    fault = idp.faults.add("token", Fault(hold=hold))
    pending = asyncio.create_task(person.refresh(token))
    await fault.entered.wait()
    assert idp.token_requests[-1].outcome == "pending"
    hold.set()
    assert (await pending)[0] == 200
    assert idp.token_requests[-1].outcome == "ok"


async def test_delay_comes_before_the_answer(idp: IdentityProvider, http: ClientSession) -> None:
    """A delayed request takes at least the delay's seconds."""
    loop = asyncio.get_running_loop()
    idp.faults.add("jwks", Fault(delay=0.05, status=500))
    start = loop.time()
    async with http.get(f"{idp.issuer}/jwks") as response:
        assert response.status == 500
    assert loop.time() - start >= 0.05


async def test_a_client_that_left_while_held_consumes_no_grant(
    idp: IdentityProvider, person: Person, http: ClientSession
) -> None:
    """A refresh whose client leaves before it is handled is rolled back: the refresh token stays good."""
    token = (await person.sign_in())["refresh_token"]
    hold = asyncio.Event()
    fault = idp.faults.add("token", Fault(hold=hold))
    pending = asyncio.create_task(person.refresh(token))
    await fault.entered.wait()
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    await seen_by(idp, http)
    hold.set()
    await until(lambda: idp.token_requests[-1].outcome != "pending")
    assert idp.token_requests[-1].outcome == "gone"
    assert (await person.refresh(token))[0] == 200


async def test_early_drop_of_a_client_that_left_does_no_harm(
    idp: IdentityProvider, person: Person, http: ClientSession
) -> None:
    """Closing a connection that is already gone is no error."""
    hold = asyncio.Event()
    fault = idp.faults.add("token", Fault(hold=hold, drop_early=True))
    pending = asyncio.create_task(person.refresh("any"))
    await fault.entered.wait()
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    await seen_by(idp, http)
    hold.set()
    await until(lambda: idp.token_requests[-1].outcome != "pending")
    assert idp.token_requests[-1].outcome == "gone"


async def test_a_fault_at_the_token_endpoint_is_recorded(idp: IdentityProvider, person: Person) -> None:
    """A token request that a fault answered counts, with the outcome `fault`."""
    idp.faults.add("token", Fault(status=503, headers={"Cache-Control": "no-store"}, body=b"{}"))
    assert await person.refresh("any") == (503, {})
    assert [record.outcome for record in idp.token_requests] == ["fault"]


async def test_acted_answers_after_the_endpoint_has_handled_the_request(idp: IdentityProvider, person: Person) -> None:
    """As a gateway that loses the endpoint's answer: the refresh token is spent, and the client has no new one."""
    token = (await person.sign_in())["refresh_token"]
    idp.faults.add("token", Fault(status=502, body=b"{}", headers={"Cache-Control": "no-store"}, acted=True))
    assert (await person.refresh(token))[0] == 502
    assert idp.token_requests[-1].outcome == "ok"
    assert (await person.refresh(token))[1]["error"] == "invalid_grant"

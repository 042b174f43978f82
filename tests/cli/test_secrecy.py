"""Nothing secret is said by any command, at any level of logging, whatever goes wrong."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from jmap_proxy.sandbox import Fault, browse
from tests.support.world import basic

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from tests.support.world import World

SENT = ("code", "code_verifier", "refresh_token", "client_secret")
TROUBLE = [
    Fault(status=400, body=b'{"error": "invalid_request", "error_description": "%s"}'),
    Fault(garbage=True),
    Fault(drop=True),
    Fault(status=503),
]


async def secrets_of(world: World, *local_keys: str) -> set[str]:
    """All secrets that have been on their way so far."""
    tokens = await world.stored()
    sent = {request.form[name] for request in world.idp.token_requests for name in SENT if name in request.form}
    asked = {request[name] for request in world.idp.authorize_requests for name in ("state", "nonce")}
    used = {request.token for request in world.mail.requests if request.token}
    return {tokens.access_token, tokens.refresh_token, *sent, *asked, *used, *local_keys}


async def log_in(world: World) -> tuple[str, str]:
    """Sign in by the command; the key, and all that was said but for the URL and the key."""
    program = await world.start("login", "alice", "--no-browser", "--log-level", "debug")
    url = await program.line()
    await browse(url)
    ended = await program.end()
    (key,) = [line for line in ended.out.splitlines() if line.startswith("Local key: ")]
    said = ended.out.replace(url, "").replace(key, "") + ended.err
    return key.removeprefix("Local key: "), said


async def serve_through_trouble(world: World, client: ClientSession, key: str) -> str:
    """Run `serve` while the provider and the server misbehave; all that it and its answers said."""
    program, origin = await world.serve("--log-level", "debug")
    said = []
    world.mail.refused_tokens.add((await world.stored()).access_token)
    for fault in TROUBLE:
        world.idp.faults.add("token", fault)
    for password in (key, "wrong-" + key, key, key):
        async with client.get(f"{origin}/.well-known/jmap", headers=basic(password)) as response:
            said.append(await response.text())
    async with client.get(f"{origin}/jmap/api?access_token={key}", headers=basic(key)) as response:
        said.append(await response.text())
    async with client.get(f"http://127.0.0.1:{world.admin_port}/readyz") as response:
        said.append(await response.text())
    status = await world.invoke("status", "--json")
    ended = await program.end(signal.SIGTERM)
    assert ended.code == 0
    return "".join([*said, status.out, status.err, ended.out, ended.err])


async def test_nothing_secret_is_ever_said(world: World, client: ClientSession) -> None:
    """Only the key's own line, the output of `token` and the sign-in URL hold what they are for."""
    world.idp.settings.rotate = False  # else the answer that is dropped would end the grant
    key, said = await log_in(world)
    said += await serve_through_trouble(world, client, key)
    await world.age(7200)
    world.idp.faults.clear()
    for fault in TROUBLE:
        world.idp.faults.add("token", fault)
        ended = await world.invoke("token", "alice", "--log-level", "debug")
        assert ended.code in {75, 78}
        said += ended.out + ended.err
    said += (await world.invoke("status")).out
    known = await secrets_of(world, key)
    token = await world.invoke("token", "alice", "--log-level", "debug")
    said += token.err
    ended = await world.invoke("logout", "alice", "--log-level", "debug")
    said += ended.out + ended.err
    known |= {token.out.strip()}
    assert "" not in known
    assert len(known) >= 8
    assert [secret for secret in known if secret in said] == []

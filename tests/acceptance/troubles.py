"""What can go wrong around a refresh, as data: how to cause it, what the client sees, what is kept.

The table in docs/token-life.md is made of it, and a test compares the two.
"""

from __future__ import annotations

import asyncio
import json
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.sandbox import Fault
from jmap_proxy.tokens.envelope import seal
from jmap_proxy.tokens.store import read_tokens
from jmap_proxy.tokens.tokenset import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.chain import Chain

SERVED = "200"
DELAYED = "503 + Retry-After (token-delayed)"
REFUSED_CLIENT = "503 + Retry-After (client-refused)"
GONE = "503 (sign-in-needed)"
STORE = "503 (store)"
NEVER = -1
"""As a fault's count: all requests."""


def nothing(_chain: Chain) -> None:
    """Nothing is to be done."""


def heal(chain: Chain) -> None:
    """The provider is well again."""
    chain.provider.faults.clear()


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong.

    Attributes:
        name: Of the row.
        begin: Causes it.
        end: Ends it.
        alive: What a client sees in the last half minute of the token's life.
        expired: What it sees after that.
        kept: Whether the sign-in outlives it.
        account: Settings of the account.
        provider: Settings of the provider.
    """

    name: str
    begin: Callable[[Chain], Awaitable[None] | None]
    end: Callable[[Chain], None] = heal
    alive: str = SERVED
    expired: str = DELAYED
    kept: bool = True
    account: tuple[tuple[str, Any], ...] = ()
    provider: tuple[tuple[str, Any], ...] = ()


def answers(name: str, expired: str = DELAYED, *, place: str = "token", kept: bool = True, **fault: Any) -> Trouble:
    """A provider that answers so, each time."""
    return Trouble(name, lambda chain: _arm(chain, place, **fault), expired=expired, kept=kept)


def says(name: str, status: int, content: Any, expired: str = DELAYED, *, kept: bool = True, **fault: Any) -> Trouble:
    """A token endpoint that answers so, in JSON."""
    return answers(name, expired, kept=kept, status=status, body=json.dumps(content).encode(), **fault)


def metadata(name: str, *, known: bool, **overrides: Any) -> Trouble:
    """A provider whose metadata says so; `known`: the metadata from before is used instead."""

    def begin(chain: Chain) -> None:
        chain.provider.settings.metadata_overrides = {
            key: value.replace("HOST", chain.provider.issuer.partition("//")[2]) for key, value in overrides.items()
        }

    def end(chain: Chain) -> None:
        chain.provider.settings.metadata_overrides = {}

    return Trouble(name, begin, end, expired=SERVED if known else DELAYED)


def life(name: str, value: Any) -> Trouble:
    """A provider that tells the token's life so."""

    def begin(chain: Chain) -> None:
        chain.provider.settings.expires_in = value

    return Trouble(name, begin, nothing, expired=SERVED)


def lost(name: str, *, rotate: bool, replay: str, grace: float, expired: str, kept: bool, status: int = 0) -> Trouble:
    """A provider whose one answer is lost after it has acted, without a word or with a gateway's `status`."""
    fault = {"status": status, "acted": True} if status else {"drop": True}
    return Trouble(
        name,
        lambda chain: _arm(chain, "token", count=1, **fault),
        expired=expired,
        kept=kept,
        account=(("replay", replay),),
        provider=(("rotate", rotate), ("grace", grace)),
    )


def _arm(chain: Chain, place: str, count: int = NEVER, **fault: Any) -> None:
    chain.provider.faults.add(place, Fault(count=count, **fault))


def _hang(chain: Chain) -> None:
    _arm(chain, "token", hold=asyncio.Event())


def _let_go(chain: Chain) -> None:
    fault = chain.provider.faults.take("token")
    heal(chain)
    if fault is not None and fault.hold is not None:
        fault.hold.set()


def _fill_disk(_chain: Chain) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _empty_disk(_chain: Chain) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))


def _move(name: str) -> tuple[Callable[[Chain], None], Callable[[Chain], None]]:
    def away(chain: Chain) -> None:
        (chain.state / name).rename(chain.state / "away")

    def back(chain: Chain) -> None:
        (chain.state / "away").rename(chain.state / name)

    return away, back


def _damage(chain: Chain) -> None:
    (chain.state / "tokens" / "alice.jwe").write_bytes(b"damaged")


def _replace_by_newer(chain: Chain) -> None:
    path = chain.state / "tokens" / "alice.jwe"
    keys = Assembly(chain.config, chain.state).data_key
    tokens = read_tokens(path.parent, "alice", keys)
    assert tokens is not None
    path.rename(path.with_suffix(".whole"))
    path.write_bytes(seal(msgspec.structs.replace(tokens, schema_version=SCHEMA_VERSION + 1), keys.current()))
    path.chmod(0o600)


async def _refresh_elsewhere(chain: Chain) -> None:
    async with Assembly(chain.config, chain.state, chain.clock) as assembly:
        await (await assembly.refresher("alice")).renew()


def _mend(chain: Chain) -> None:
    path = chain.state / "tokens" / "alice.jwe"
    path.with_suffix(".whole").replace(path)


def _open_to_others(chain: Chain) -> None:
    (chain.state / "tokens" / "alice.jwe").chmod(0o644)


def _private_again(chain: Chain) -> None:
    (chain.state / "tokens" / "alice.jwe").chmod(0o600)


def _clock(seconds: float) -> Callable[[Chain], None]:
    def step(chain: Chain) -> None:
        chain.clock.now += seconds

    return step


HTML = b"<!doctype html><title>Attention Required!</title>"
TOKEN = {"access_token": "new", "token_type": "Bearer", "expires_in": 3600}

TROUBLES = (
    answers("connection closed before the request is read", drop_early=True),
    answers("500 with a page", status=500, body=HTML, content_type="text/html"),
    answers("502 with a page", status=502, body=HTML, content_type="text/html"),
    answers("503, Retry-After in seconds", status=503, headers={"Retry-After": "20"}),
    answers("503, Retry-After as a date", status=503, headers={"Retry-After": "Fri, 15 Jan 2027 08:00:20 GMT"}),
    answers("429 with Retry-After", status=429, headers={"Retry-After": "20"}),
    answers("408", status=408),
    answers("a firewall's 403 with a page", status=403, body=HTML, content_type="text/html"),
    answers("404: the endpoint has moved", status=404),
    answers("302 to another host", status=302, headers={"Location": "https://evil.example/token"}),
    answers("200 without a body", status=200, body=b""),
    answers("200 with bytes that are no JSON", garbage=True),
    says("200 with a JSON list", 200, []),
    says("200 without access_token", 200, {"token_type": "Bearer"}),
    says("200 with an access_token that fits no header", 200, {**TOKEN, "access_token": "a\r\nb"}),
    says("200 with another token_type", 200, {**TOKEN, "token_type": "mac"}),
    says("an answer of 2 MB", 200, {**TOKEN, "padding": "x" * 2_000_000}),
    says('200 with {"error": "invalid_grant"}', 200, {"error": "invalid_grant"}),
    says("an unknown error code", 400, {"error": "oops"}),
    says("server_error", 400, {"error": "server_error"}),
    says("temporarily_unavailable", 503, {"error": "temporarily_unavailable"}),
    says('invalid_grant, "temporary": true (Fastmail)', 400, {"error": "invalid_grant", "temporary": True}),
    says("invalid_grant with a 500", 500, {"error": "invalid_grant"}),
    says("invalid_client", 401, {"error": "invalid_client"}, REFUSED_CLIENT),
    says("unauthorized_client", 400, {"error": "unauthorized_client"}, REFUSED_CLIENT),
    says("invalid_scope", 400, {"error": "invalid_scope"}, REFUSED_CLIENT),
    says("unsupported_grant_type", 400, {"error": "unsupported_grant_type"}, REFUSED_CLIENT),
    Trouble("grant revoked", lambda chain: chain.provider.revoke_grants(), alive=GONE, expired=GONE, kept=False),
    answers("metadata: 500", SERVED, place="metadata", status=500),
    answers("metadata: bytes that are no JSON", SERVED, place="metadata", garbage=True),
    metadata("metadata of another issuer", known=True, issuer="https://evil.example"),
    metadata("token endpoint over plain http", known=True, token_endpoint="http://192.0.2.1/token"),
    metadata(
        "token endpoint on a host that does not exist", known=False, token_endpoint="https://nowhere.invalid/token"
    ),
    metadata("token endpoint that does not listen", known=False, token_endpoint="https://127.0.0.1:1/token"),
    metadata("token endpoint that cannot do TLS", known=False, token_endpoint="https://HOST/token"),
    Trouble("no answer at all", _hang, _let_go),
    lost("answer lost, strict rotation", rotate=True, replay="strict", grace=0, expired=GONE, kept=False),
    lost("answer lost, rotation with a grace", rotate=True, replay="grace", grace=60, expired=SERVED, kept=True),
    lost("answer lost, no rotation", rotate=False, replay="strict", grace=0, expired=SERVED, kept=True),
    lost(
        "502 for an answer, strict rotation",
        rotate=True,
        replay="strict",
        grace=0,
        expired=GONE,
        kept=False,
        status=502,
    ),
    lost(
        "502 for an answer, rotation with a grace",
        rotate=True,
        replay="grace",
        grace=60,
        expired=SERVED,
        kept=True,
        status=502,
    ),
    life("no expires_in", None),
    life("expires_in: 0", 0),
    life('expires_in: "3600"', "3600"),
    life("expires_in: 1e99", 1e99),
    life('expires_in: "soon"', "soon"),
    Trouble("disk full", _fill_disk, _empty_disk, expired=SERVED),
    Trouble("token file damaged", _damage, nothing, expired=SERVED),
    Trouble("token file of a newer form", _replace_by_newer, _mend, expired=STORE),
    Trouble("tokens folder gone for a while", *_move("tokens"), expired=STORE),
    Trouble("another process refreshes in between", _refresh_elsewhere, nothing, expired=SERVED),
    Trouble("token file open to others", _open_to_others, _private_again, expired=STORE),
    Trouble("data key missing", *_move("data.key"), expired=SERVED),
    Trouble("clock set back a day", _clock(-86400), _clock(86400), expired=SERVED),
    Trouble("clock set ahead a day", _clock(86400), nothing, expired=SERVED),
)

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.errors import ProviderError
from jmap_proxy.oauth.discovery import MAX_AGE, STALE_AGE, Discovery
from jmap_proxy.oauth.http import Answer, ProviderHttp
from jmap_proxy.oauth.metadata import ENDPOINTS
from jmap_proxy.sandbox import Fault
from tests.oauth.helpers import Parts
from tests.support.scripted_server import Scripted

if TYPE_CHECKING:
    from aiohttp import ClientSession

    from jmap_proxy.sandbox import IdentityProvider
    from tests.support.clock import Clock

OAUTH = "/.well-known/oauth-authorization-server"
OIDC = "/.well-known/openid-configuration"


def document(issuer: str, **changes: Any) -> tuple[int, bytes, dict[str, str]]:
    """A metadata answer of that issuer."""
    fields = {"issuer": issuer, "token_endpoint": f"{issuer}/token", **changes}
    return 200, json.dumps(fields).encode(), {}


async def refused(parts: Parts) -> ProviderError:
    """The error of a discovery that finds nothing usable."""
    with pytest.raises(ProviderError) as caught:
        await parts.discovery.metadata(parts.client.issuer)
    return caught.value


async def test_rfc_8414_comes_first(session: ClientSession, clock: Clock) -> None:
    """Where the OAuth document exists the OpenID one is not asked for."""
    async with Scripted() as server:
        server.answers[OAUTH] = document(server.origin)
        metadata = await Parts(session, clock, server.origin).discovery.metadata(server.origin)
        assert metadata.token_endpoint == f"{server.origin}/token"
        assert server.paths == [OAUTH]


@pytest.mark.parametrize(
    "first", [(404, b"", {}), (503, b"", {}), (200, b"<!doctype html>", {}), (302, b"", {"Location": OIDC})]
)
async def test_openid_discovery_is_the_fallback(
    session: ClientSession, clock: Clock, first: tuple[int, bytes, dict[str, str]]
) -> None:
    """A missing document, a redirect or a web application's page for any path: OpenID's place is asked."""
    async with Scripted() as server:
        server.answers |= {OAUTH: first, OIDC: document(server.origin)}
        metadata = await Parts(session, clock, server.origin).discovery.metadata(server.origin)
        assert metadata.issuer == server.origin
        assert server.paths == [OAUTH, OIDC]


async def test_a_redirect_is_not_followed(session: ClientSession, clock: Clock) -> None:
    """Metadata that a redirect leads to is not read, good as it may be."""
    async with Scripted() as server:
        server.answers["/elsewhere"] = document(server.origin)
        for path in (OAUTH, OIDC):
            server.answers[path] = (302, b"", {"Location": "/elsewhere"})
        error = await refused(Parts(session, clock, server.origin))
        assert "302" in str(error)
        assert server.paths == [OAUTH, OIDC]


async def test_the_answer_is_cached_for_an_hour(parts: Parts, idp: IdentityProvider, clock: Clock) -> None:
    """Metadata is asked for once, and again when it is an hour old."""
    first = await parts.discovery.metadata(idp.issuer)
    clock.now += MAX_AGE - 1
    assert await parts.discovery.metadata(idp.issuer) is first
    assert idp.metadata_requests == 1
    clock.now += 1
    await parts.discovery.metadata(idp.issuer)
    assert idp.metadata_requests == 2


async def test_stale_metadata_serves_while_the_provider_is_down(
    parts: Parts, idp: IdentityProvider, clock: Clock
) -> None:
    """A provider that cannot be asked is not asked for every token, but every minute."""
    first = await parts.discovery.metadata(idp.issuer)
    clock.now += MAX_AGE
    idp.faults.add("metadata", Fault(drop_early=True, count=-1))
    assert await parts.discovery.metadata(idp.issuer) is first
    asked = idp.metadata_requests
    assert await parts.discovery.metadata(idp.issuer) is first
    assert idp.metadata_requests == asked
    idp.faults.clear()
    clock.now += STALE_AGE
    assert await parts.discovery.metadata(idp.issuer) == first
    assert idp.metadata_requests == asked + 1


async def test_a_provider_that_was_never_reached_is_an_error(parts: Parts, idp: IdentityProvider) -> None:
    """Nothing cached, nothing to serve; the next try can succeed."""
    idp.faults.add("metadata", Fault(drop_early=True, count=-1))
    assert (await refused(parts)).retry_after
    idp.faults.clear()
    assert (await parts.discovery.metadata(idp.issuer)).issuer == idp.issuer


@pytest.mark.parametrize("other", ["https://evil.example", None])
async def test_another_issuers_metadata_is_refused(parts: Parts, idp: IdentityProvider, other: str | None) -> None:
    """Another issuer, or the same one with a slash at the end; the hint says what to compare."""
    idp.settings.metadata_overrides = {"issuer": other or f"{idp.issuer}/"}
    assert "slash" in (await refused(parts)).hint


@pytest.mark.parametrize("member", ["token_endpoint", "authorization_endpoint", "jwks_uri"])
async def test_an_endpoint_over_plain_http_is_refused(parts: Parts, idp: IdentityProvider, member: str) -> None:
    """Metadata that would send a secret off the machine in the clear is not trusted at all."""
    idp.settings.metadata_overrides = {member: "http://sso.example/x"}
    assert "plain http" in str(await refused(parts))


@pytest.mark.parametrize("member", ["token_endpoint", "authorization_endpoint", "jwks_uri"])
async def test_an_endpoint_with_terminal_commands_is_refused(parts: Parts, idp: IdentityProvider, member: str) -> None:
    """An endpoint's URL stands in errors, logs and `status`; what it would do to a terminal does not get there."""
    idp.settings.metadata_overrides = {member: f"{idp.issuer}/\x1b[2J"}
    assert "\x1b" not in str(await refused(parts))


async def test_metadata_from_the_future_is_asked_for_anew(parts: Parts, idp: IdentityProvider, clock: Clock) -> None:
    """The clock was set back since: nobody knows how old it is, and it would be used for as long."""
    clock.now += 30 * 86400
    await parts.discovery.metadata(idp.issuer)
    clock.now -= 30 * 86400
    await parts.discovery.metadata(idp.issuer)
    assert idp.metadata_requests == 2


async def test_garbage_is_refused(parts: Parts, idp: IdentityProvider) -> None:
    """Bytes that are no JSON at both places."""
    idp.faults.add("metadata", Fault(garbage=True, count=2))
    assert "RFC 8414" in str(await refused(parts))
    idp.faults.add("metadata", Fault(body=b"x" * (1 << 21), count=2))
    assert "more than" in str(await refused(parts))


async def test_many_who_ask_at_once_share_the_answer(session: ClientSession, clock: Clock) -> None:
    """The provider is asked once; one that goes away takes the answer from nobody."""
    async with Scripted() as server:
        server.answers[OAUTH] = document(server.origin)
        discovery = Parts(session, clock, server.origin).discovery
        asking = [asyncio.create_task(discovery.metadata(server.origin)) for _ in range(20)]
        await asyncio.sleep(0)
        asking[0].cancel()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(found[0], asyncio.CancelledError)
        assert len({id(each) for each in found[1:]}) == 1
        assert server.paths == [OAUTH]


async def test_many_who_ask_at_once_share_a_failure(session: ClientSession, clock: Clock) -> None:
    """Each has an error of its own; who asks afterwards asks anew."""
    async with Scripted() as server:
        discovery = Parts(session, clock, server.origin).discovery
        found = await asyncio.gather(*(discovery.metadata(server.origin) for _ in range(20)), return_exceptions=True)
        assert {type(each) for each in found} == {ProviderError}
        assert len({id(each) for each in found}) == 20
        assert server.paths == [OAUTH, OIDC]
        server.answers[OAUTH] = document(server.origin)
        assert (await discovery.metadata(server.origin)).issuer == server.origin


async def test_a_fetch_that_nobody_waits_for_ends(session: ClientSession, clock: Clock) -> None:
    """Whoever gives up leaves no request behind."""
    asked, left = asyncio.Event(), asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    async with await asyncio.start_server(be_silent, "127.0.0.1", 0) as server:
        issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        discovery = Parts(session, clock, issuer).discovery
        asking = [asyncio.create_task(discovery.metadata(issuer)) for _ in range(2)]
        await asked.wait()
        for each in asking:
            each.cancel()
        await left.wait()
        assert all(each.cancelled() for each in asking)


class OneAnswer(ProviderHttp):
    """Answers every GET with one document, whoever is asked."""

    def __init__(self, session: ClientSession, document: tuple[int, bytes, dict[str, str]]) -> None:
        super().__init__(session)
        self._answer = Answer(document[0], document[2], document[1])

    async def get(self, url: str, *, bearer: str = "") -> Answer:
        """The document."""
        del url, bearer
        return self._answer


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("place", ["http://127.0.0.1:631/admin?x=", "https://localhost/", "http://[::1]:8622/sign-in"])
async def test_a_provider_elsewhere_cannot_lead_here(
    session: ClientSession, clock: Clock, name: str, place: str
) -> None:
    """Else its metadata would send forms, JSON or the user's browser to whatever listens on this machine."""
    issuer = "https://sso.example.com"
    discovery = Discovery(OneAnswer(session, document(issuer, **{name: place})), clock)
    with pytest.raises(ProviderError, match=f"for its {name}, which is this machine and not its own") as caught:
        await discovery.metadata(issuer)
    assert caught.value.hint


async def test_a_provider_elsewhere_may_name_hosts_elsewhere(session: ClientSession, clock: Clock) -> None:
    """Many have a host for each purpose."""
    issuer, place = "https://sso.example.com", "https://tokens.example.net/token"
    discovery = Discovery(OneAnswer(session, document(issuer, token_endpoint=place, jwks_uri="no URL")), clock)
    with pytest.raises(ProviderError, match="'no URL'"):
        await discovery.metadata(issuer)
    discovery = Discovery(OneAnswer(session, document(issuer, token_endpoint=place, registration_endpoint="-")), clock)
    assert (await discovery.metadata(issuer)).token_endpoint == place


@pytest.mark.parametrize("odd", ["\x1b]0;owned\x07", "\nhint: run: curl evil.example", "\u202e", "#x", " x"])
async def test_an_endpoint_can_be_shown(session: ClientSession, clock: Clock, odd: str) -> None:
    """The authorization endpoint is printed for the user: no control characters, one line; nor do errors hold any."""
    issuer = "https://sso.example.com"
    place = f"{issuer}/authorize{odd}"
    discovery = Discovery(OneAnswer(session, document(issuer, authorization_endpoint=place)), clock)
    with pytest.raises(ProviderError, match="not a usable URL") as caught:
        await discovery.metadata(issuer)
    assert caught.value.detail.isprintable()
    assert caught.value.detail.isascii()


async def test_another_issuers_name_is_told_in_short(session: ClientSession, clock: Clock) -> None:
    """However long it is, and whatever it holds."""
    discovery = Discovery(OneAnswer(session, document("https://evil.example/\x1b[2J" + "x" * 100_000)), clock)
    with pytest.raises(ProviderError) as caught:
        await discovery.metadata("https://sso.example.com")
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 2000

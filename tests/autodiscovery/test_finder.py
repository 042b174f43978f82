from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import dns.asyncresolver
import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from jmap_proxy.autodiscovery.address import parse_mail_address
from jmap_proxy.autodiscovery.finder import Finder, redirected
from jmap_proxy.autodiscovery.http import Page, ServerHttp
from jmap_proxy.autodiscovery.srv import system_resolver
from jmap_proxy.autodiscovery.webfinger import ISSUER
from jmap_proxy.errors import DiscoveryError, ProviderError, ServerUnreachable
from jmap_proxy.oauth.discovery import Discovery
from jmap_proxy.oauth.http import ProviderHttp
from jmap_proxy.origins import parse_origin
from jmap_proxy.proxy.upstream.pool import upstream_session
from jmap_proxy.tls.contexts import client_context
from tests.support.certificates import private_authority
from tests.support.dns_server import DnsServer
from tests.support.ports import free_port
from tests.support.scripted_server import Scripted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import aiohttp

    from jmap_proxy.sandbox import IdentityProvider

ALICE = parse_mail_address("alice@example.com")
JSON = {"Content-Type": "application/json"}
ROOT = "/.well-known/oauth-protected-resource"
MAIL = "urn:ietf:params:oauth:scope:mail"


def finder(session: aiohttp.ClientSession) -> Finder:
    """A finder that asks this machine's name servers, so it can find servers by URL only."""
    discovery = Discovery(ProviderHttp(session), time.time)
    return Finder(ServerHttp(session), discovery, system_resolver, lambda _most: 0)


def answers(server: Scripted, path: str, body: Any, status: int = 200, **fields: str) -> None:
    """Let the server answer so."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    server.answers[path] = status, body if isinstance(body, bytes) else json.dumps(body).encode(), JSON | headers


def guarded(server: Scripted, path: str = "/.well-known/jmap", challenge: str = "Bearer") -> None:
    """Let the server want a token."""
    answers(server, path, {}, 401, WWW_Authenticate=challenge)


def says(server: Scripted, *issuers: str, path: str = ROOT, **more: Any) -> None:
    """Let the server have resource metadata (RFC 9728)."""
    answers(server, path, {"resource": f"{server.origin}/jmap", "authorization_servers": issuers} | more)


async def test_a_relative_metadata_place_is_found(
    session: aiohttp.ClientSession, server: Scripted, idp: IdentityProvider
) -> None:
    """Stalwart's way: a redirect, then a challenge that names a path; scopes and resource are the server's words."""
    answers(server, "/.well-known/jmap", b"", 307, Location="/jmap/session")
    guarded(server, "/jmap/session", 'Bearer realm="Stalwart Server", resource_metadata="/meta", Basic realm="x"')
    says(server, idp.issuer, path="/meta", scopes_supported=[MAIL, "admin"])
    found = await finder(session).find(None, f"{server.origin}/.well-known/jmap")
    assert found.server == server.origin
    assert found.session_url == f"{server.origin}/jmap/session"
    assert found.issuer == found.metadata.issuer == idp.issuer
    assert found.scopes == (MAIL, "openid", "offline_access")
    assert found.resource == f"{server.origin}/jmap"
    assert found.preset == "stalwart"
    assert found.notes == ()
    assert not any("Authorization" in headers for headers in server.headers)


@pytest.mark.parametrize("path", [ROOT, f"{ROOT}/jmap/session"])
async def test_the_well_known_places_are_tried(
    session: aiohttp.ClientSession, server: Scripted, idp: IdentityProvider, path: str
) -> None:
    """Where neither the challenge nor a Session that is nobody's says anything."""
    answers(server, "/jmap/session", {"capabilities": {}, "apiUrl": "/", "accounts": {}})
    says(server, idp.issuer, path=path)
    found = await finder(session).find(None, f"{server.origin}/jmap/session")
    assert found.issuer == idp.issuer
    assert found.server == f"{server.origin}/jmap/session"


async def test_webfinger_is_asked_where_there_is_no_metadata(
    session: aiohttp.ClientSession, server: Scripted, idp: IdentityProvider
) -> None:
    """James's way: scopes are in the challenge, the resource has no name; a page at the well-known is no metadata."""
    guarded(server, challenge='Bearer realm="james", error="invalid_token", scope="openid profile email"')
    server.answers[ROOT] = 200, b"<html>", {"Content-Type": "text/html"}
    answers(server, "/.well-known/webfinger", {"links": [{"rel": ISSUER, "href": idp.issuer}]})
    found = await finder(session).find(ALICE, f"{server.origin}/.well-known/jmap")
    assert found.issuer == idp.issuer
    assert found.scopes == ("openid", "profile", "email", "offline_access")
    assert found.resource == ""
    assert found.preset == "twake"


async def test_a_named_issuer_needs_no_words_of_the_server(
    session: aiohttp.ClientSession, server: Scripted, idp: IdentityProvider
) -> None:
    """What is wrong with the server's metadata is told, and does not hinder; several issuers do not either."""
    guarded(server, challenge='Bearer resource_metadata="/gone"')
    found = await finder(session).find(None, f"{server.origin}/.well-known/jmap", issuer=idp.issuer)
    assert (found.issuer, found.resource) == (idp.issuer, "")
    assert "/gone" in found.notes[0]
    guarded(server)
    says(server, "https://a.example", "https://b.example")
    found = await finder(session).find(None, f"{server.origin}/.well-known/jmap", issuer=idp.issuer)
    assert found.issuer == idp.issuer
    assert found.resource == f"{server.origin}/jmap"


async def test_a_redirect_to_another_server_is_told(
    session: aiohttp.ClientSession, server: Scripted, idp: IdentityProvider
) -> None:
    """The Session URL is what is kept then, and the metadata has to be that server's."""
    async with Scripted() as other:
        answers(server, "/.well-known/jmap", b"", 301, Location=f"{other.origin}/jmap/session")
        guarded(other, "/jmap/session")
        says(other, idp.issuer)
        found = await finder(session).find(None, f"{server.origin}/.well-known/jmap")
        assert found.server == found.session_url == f"{other.origin}/jmap/session"
        assert found.notes == (f"{server.origin} redirects to {other.origin}",)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("http://mail.example.com/jmap", "where no token may go"),
        ("ftp://x", "what is no URL"),
        ("/.well-known/jmap", "without end"),
        (None, "what is no URL"),
    ],
)
async def test_a_bad_redirect_is_told(
    session: aiohttp.ClientSession, server: Scripted, location: str | None, told: str
) -> None:
    """Plain http, no URL, a circle; the Session URL is asked for."""
    answers(server, "/.well-known/jmap", b"", 302, **({"Location": location} if location else {}))
    with pytest.raises(DiscoveryError, match=told) as caught:
        await finder(session).find(None, f"{server.origin}/.well-known/jmap")
    assert "--server" in caught.value.hint
    assert len(server.paths) <= 6


async def test_nothing_is_guessed(session: aiohttp.ClientSession, server: Scripted) -> None:
    """A server that does not name its provider: the way to name it is told."""
    guarded(server)
    with pytest.raises(DiscoveryError, match="does not say which identity provider") as caught:
        await finder(session).find(ALICE, f"{server.origin}/.well-known/jmap")
    assert "--issuer URL" in caught.value.hint


async def test_of_several_providers_one_has_to_be_chosen(session: aiohttp.ClientSession, server: Scripted) -> None:
    """They are named."""
    guarded(server)
    says(server, "https://a.example", "https://b.example")
    with pytest.raises(DiscoveryError, match=r"https://a\.example, https://b\.example") as caught:
        await finder(session).find(ALICE, f"{server.origin}/.well-known/jmap")
    assert "--issuer URL" in caught.value.hint


async def test_a_named_place_without_metadata_is_told(session: aiohttp.ClientSession, server: Scripted) -> None:
    """The server has made a promise; nothing else is tried in its place."""
    guarded(server, challenge='Bearer resource_metadata="/meta"')
    with pytest.raises(DiscoveryError, match="/meta as its resource metadata, which answers 404"):
        await finder(session).find(ALICE, f"{server.origin}/.well-known/jmap")
    assert ROOT not in server.paths


async def test_metadata_of_another_server_is_refused(
    session: aiohttp.ClientSession, server: Scripted, idp: IdentityProvider
) -> None:
    """Whatever place names it."""
    guarded(server)
    says(server, idp.issuer, resource="https://mail.example.com/jmap")
    with pytest.raises(DiscoveryError, match=r"is about 'https://mail\.example\.com/jmap'"):
        await finder(session).find(ALICE, f"{server.origin}/.well-known/jmap")


async def test_a_provider_that_does_not_answer_is_told(session: aiohttp.ClientSession, server: Scripted) -> None:
    """As the provider's trouble."""
    guarded(server)
    issuer = f"http://127.0.0.1:{free_port()}"
    says(server, issuer)
    with pytest.raises(ProviderError, match=issuer):
        await finder(session).find(ALICE, f"{server.origin}/.well-known/jmap")


async def test_a_server_that_does_not_answer_is_told(session: aiohttp.ClientSession) -> None:
    """As the server's trouble."""
    with pytest.raises(ServerUnreachable, match="nothing answers"):
        await finder(session).find(ALICE, f"http://127.0.0.1:{free_port()}/.well-known/jmap")


async def test_there_has_to_be_something_to_begin_with(session: aiohttp.ClientSession) -> None:
    """An account's name alone says nothing."""
    with pytest.raises(DiscoveryError, match="neither an address nor a server"):
        await finder(session).find(None)


@pytest.fixture
async def names() -> AsyncIterator[DnsServer]:
    """A name server."""
    async with DnsServer() as server:
        yield server


def asking(names: DnsServer, session: aiohttp.ClientSession, issuer_http: aiohttp.ClientSession) -> Finder:
    """A finder that asks this name server."""

    def resolver() -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], names.port
        return resolver

    return Finder(ServerHttp(session), Discovery(ProviderHttp(issuer_http), time.time), resolver, lambda _most: 0)


async def test_an_address_is_enough(
    tmp_path: Path, names: DnsServer, session: aiohttp.ClientSession, idp: IdentityProvider
) -> None:
    """SRV leads to https at the host and port that it names; the next host is asked if one cannot be reached.

    That the domain names hosts elsewhere is told, since nobody vouches for that.
    """
    ca_file, context = private_authority(tmp_path)
    async with (
        Scripted(ssl_context=context) as server,
        upstream_session(client_context(str(ca_file))) as trusting,
    ):
        guarded(server)
        says(server, idp.issuer.replace("http:", "https:"))
        port = parse_origin(server.origin).port
        names.add("_jmap._tcp.example.com", "SRV", f"5 1 {port} 127.0.0.1.", f"0 1 {free_port()} 127.0.0.1.")
        found = await asking(names, trusting, session).find(ALICE, issuer=idp.issuer)
        assert found.server == f"https://127.0.0.1:{port}"
        assert found.issuer == idp.issuer
        assert found.notes == (
            "example.com says (DNS, which anybody on the way can forge) that its mail is at 127.0.0.1",
        )
        assert names.queries == [("_jmap._tcp.example.com.", "SRV")]


async def test_without_a_record_the_domain_itself_is_asked(names: DnsServer, session: aiohttp.ClientSession) -> None:
    """And no other name that could be guessed from it (RFC 8620 §2.2)."""
    bob = parse_mail_address("bob@nowhere.invalid")
    with pytest.raises(ServerUnreachable, match=r"the name nowhere\.invalid is not known"):
        await asking(names, session, session).find(bob)


async def test_a_domain_may_say_that_it_has_no_jmap(names: DnsServer, session: aiohttp.ClientSession) -> None:
    """RFC 2782: the target "."."""
    names.add("_jmap._tcp.example.com", "SRV", "0 0 0 .")
    with pytest.raises(DiscoveryError, match=r"example\.com says \(DNS\) that it offers no JMAP"):
        await asking(names, session, session).find(ALICE)


@pytest.mark.parametrize(
    "record", ["0 0 0 mail.example.com.", r"0 0 443 _x.example.com.", r"0 0 443 a\027[2Jb.example.com."]
)
async def test_a_record_that_names_no_host_is_told(
    names: DnsServer, session: aiohttp.ClientSession, record: str
) -> None:
    """In a line without its bytes, and nothing is asked."""
    names.add("_jmap._tcp.example.com", "SRV", record)
    with pytest.raises(
        DiscoveryError, match=r"example\.com says \(DNS\) that its mail is at what is no host"
    ) as caught:
        await asking(names, session, session).find(ALICE)
    assert caught.value.hint == "name the server: --server URL"


async def test_the_last_error_of_several_hosts_is_told(names: DnsServer, session: aiohttp.ClientSession) -> None:
    """If none can be reached; a few are tried."""
    ports = [free_port() for _ in range(8)]
    names.add("_jmap._tcp.example.com", "SRV", *(f"{number} 0 {port} 127.0.0.1." for number, port in enumerate(ports)))
    with pytest.raises(ServerUnreachable, match=f"nothing answers at https://127.0.0.1:{ports[3]}"):
        await asking(names, session, session).find(ALICE)


async def test_a_host_below_the_domain_needs_no_word(names: DnsServer, session: aiohttp.ClientSession) -> None:
    """Whoever can forge one can forge the other; but the name says whose it is. A name that ends alike is another's."""
    names.add("_jmap._tcp.example.com", "SRV", "0 0 443 jmap.example.com.")
    names.add("_jmap._tcp.other.example", "SRV", "0 0 443 evilother.example.")
    finder = asking(names, session, session)
    assert (await finder._starts(ALICE))[1] == []
    assert len((await finder._starts(parse_mail_address("a@other.example")))[1]) == 1


def test_a_remote_server_cannot_lead_here() -> None:
    """A redirect from elsewhere to what listens on this machine is not followed."""
    page = Page(
        "https://mail.example.com/", 302, CIMultiDictProxy(CIMultiDict({"Location": "http://127.0.0.1:631/"})), b""
    )
    with pytest.raises(DiscoveryError, match="where no token may go"):
        redirected(page)

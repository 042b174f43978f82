from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from yarl import URL

from jmap_proxy.sandbox import MailServer, MailSettings
from jmap_proxy.sandbox.session_object import WEBSOCKET
from jmap_proxy.sandbox.shapes import (
    BLOB2,
    DOWNLOAD_ALL,
    MASKED_EMAIL,
    TICKET,
    challenge,
    cyrus,
    fastmail,
    stalwart,
    twake,
)
from tests.sandbox.helpers import GOOD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import ClientSession


@asynccontextmanager
async def served(settings: MailSettings) -> AsyncIterator[MailServer]:
    """A mail server of that shape, which takes the token `good`."""
    async with MailServer({"good": "demo"}.get, settings=settings) as mail:
        yield mail


async def session_of(http: ClientSession, url: str) -> Any:
    """The Session, wherever it is redirected to."""
    async with http.get(url, headers=GOOD) as response:
        return await response.json()


@pytest.mark.parametrize("shape", [fastmail, stalwart, cyrus, twake])
def test_each_call_gives_settings_of_its_own(shape: Callable[[], MailSettings]) -> None:
    """Changing one server does not change another."""
    first = shape()
    first.paths["api"] = "/elsewhere"
    assert shape().paths["api"] != "/elsewhere"


async def test_fastmail_has_several_hosts_with_one_store(http: ClientSession) -> None:
    """Each serves its own places only; what one takes in another gives out."""
    async with served(fastmail()) as mail:
        session = await session_of(http, mail.session_url)
        account = session["accounts"]["u-demo"]["accountCapabilities"]
        upload = account[BLOB2]["uploadUrl"].replace("{accountId}", "u-demo")
        assert session["capabilities"][BLOB2] == session["capabilities"][MASKED_EMAIL] == {}
        assert upload.startswith(mail.hosts["usercontent-shard"])
        assert session["eventSourceUrl"].startswith(f"{mail.hosts['api-shard']}/jmap/event/?")
        async with http.post(upload, headers=GOOD, data=b"x") as response:
            path = f"/jmap/download/u-demo/{(await response.json())['blobId']}/n?type=text/x"
        async with http.get(mail.hosts["usercontent"] + path, headers=GOOD) as response:
            assert (response.content_type, await response.read()) == ("text/x", b"x")
        for elsewhere in (mail.base_url, mail.hosts["api-shard"]):
            async with http.get(elsewhere + path, headers=GOOD) as response:
                assert response.status == 404


async def test_further_hosts_come_back_too(http: ClientSession) -> None:
    """At the ports that they had."""
    async with served(fastmail()) as mail:
        async with mail.down():
            pass
        async with http.get(f"{mail.hosts['usercontent']}/jmap/download/u-demo/msg-0/n", headers=GOOD) as response:
            assert response.status == 200


async def test_stalwart_answers_nobody(http: ClientSession) -> None:
    """A relative redirect, then 200 and no accounts."""
    async with (
        served(stalwart()) as mail,
        http.get(mail.session_url, allow_redirects=False) as first,
        http.get(mail.session_url) as second,
    ):
        assert (first.status, first.headers["Location"]) == (307, "/jmap/session")
        assert (second.status, (await second.json())["accounts"]) == (200, {})


async def test_stalwart_says_how_to_sign_in(http: ClientSession) -> None:
    """A problem with two challenges; the metadata is where the first one points to, relative, for everybody."""
    async with served(stalwart("https://sso.example.com")) as mail:
        async with http.post(f"{mail.base_url}/jmap/", headers={"Authorization": "Bearer bad"}) as response:
            bearer, basic = response.headers.getall("WWW-Authenticate")
            assert (response.status, response.content_type) == (401, "application/problem+json")
        place = bearer.rpartition('resource_metadata="')[2].removesuffix('"')
        assert (bearer[:6], basic[:5], place[0]) == ("Bearer", "Basic", "/")
        async with http.get(mail.base_url + place) as response:
            metadata = await response.json()
        assert metadata["resource"] == mail.base_url
        assert metadata["authorization_servers"] == ["https://sso.example.com"]


async def test_other_servers_have_no_such_metadata(http: ClientSession) -> None:
    """404, not a refusal."""
    async with (
        served(cyrus()) as mail,
        http.get(f"{mail.base_url}/.well-known/oauth-protected-resource") as response,
    ):
        assert response.status == 404


async def test_cyrus_redirects_to_the_host_it_was_asked_at(http: ClientSession) -> None:
    """And offers HTTP/2 with every answer."""
    async with served(cyrus()) as mail:
        headers = {**GOOD, "Host": "mail.example.com"}
        async with http.get(mail.session_url, headers=headers, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (301, "http://mail.example.com/jmap/")
            assert (response.headers["Upgrade"], "h2c" in response.headers["Alt-Svc"]) == ("h2c", True)
        session = await session_of(http, f"{mail.base_url}/jmap/")
        assert session["capabilities"][WEBSOCKET]["url"] == "ws:/jmap/ws/"
        assert session["apiUrl"] == "/jmap/"


@pytest.mark.parametrize(("asked", "said"), [("gzip, deflate", "gzip"), ("identity", None)])
async def test_cyrus_mislabels_its_events(http: ClientSession, asked: str, said: str | None) -> None:
    """Who takes compression is told of one that is not there."""
    async with (
        served(cyrus()) as mail,
        http.get(f"{mail.base_url}/jmap/eventsource/", headers={**GOOD, "Accept-Encoding": asked}) as response,
    ):
        assert response.headers.get("Content-Encoding") == said


async def test_twake_believes_to_be_localhost(http: ClientSession) -> None:
    """All is below the gateway's mount, and nothing that the server says knows of it; both copies are there."""
    async with served(twake()) as mail:
        async with http.get(mail.session_url, headers=GOOD, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (307, "/jmap/session")
        async with http.get(f"{mail.base_url}/jmap/session", headers=GOOD) as response:
            assert response.status == 404
        async with http.get(f"{mail.base_url}/oidc/jmap/session") as response:
            assert response.headers["WWW-Authenticate"].startswith('Bearer realm="james", error="invalid_token"')
            assert response.content_type == "text/html"
        session = await session_of(http, f"{mail.base_url}/oidc/jmap/session")
    own = session["accounts"]["u-demo"]["accountCapabilities"]
    assert own[TICKET] == session["capabilities"][TICKET]
    assert own[WEBSOCKET]["url"] == "ws://localhost/jmap/ws"
    assert own[DOWNLOAD_ALL]["endpoint"] == "http://localhost/downloadAll/{accountId}/{emailId}?name={name}"
    assert session["uploadUrl"] == "http://localhost/upload/{accountId}"


async def test_a_ticket_can_be_revoked_once(http: ClientSession) -> None:
    """Then there is none."""
    async with served(twake()) as mail:
        url = f"{mail.base_url}/oidc/jmap/ws/ticket"
        async with http.post(url, headers=GOOD) as response:
            ticket = (await response.json())["value"]
        for status in (204, 404):
            async with http.delete(f"{url}/{ticket}", headers=GOOD) as response:
                assert response.status == status


@pytest.mark.parametrize(("email", "status"), [("m0", 200), ("msg-0", 404), ("m999", 404)])
async def test_the_attachments_of_an_email_come_in_a_zip_file(http: ClientSession, email: str, status: int) -> None:
    """If there is such an email."""
    async with served(twake()) as mail:
        url = URL(f"{mail.base_url}/oidc/downloadAll/u-demo/{email}?name=a", encoded=True)
        async with http.get(url, headers=GOOD) as response:
            assert response.status == status
            assert (await response.read()).startswith(b"PK") is (status == 200)


async def test_the_events_variable_of_james_has_another_key(http: ClientSession) -> None:
    """`closeAfter=state` ends the stream after one event."""
    async with (
        served(twake()) as mail,
        http.get(f"{mail.base_url}/oidc/eventSource?types=*&closeAfter=state&ping=0", headers=GOOD) as response,
    ):
        mail.push_state()
        assert b"event: state\n" in await response.read()


ISSUER = "https://sso.example.com"
RESOURCE = "/.well-known/oauth-protected-resource"


@pytest.mark.parametrize("shape", [fastmail, cyrus])
async def test_metadata_are_named_absolutely(http: ClientSession, shape: Callable[..., MailSettings]) -> None:
    """Where the first challenge points to, they name the issuer."""
    async with served(shape(ISSUER)) as mail:
        async with http.get(f"{mail.base_url}/jmap/", headers={"Authorization": "Bearer bad"}) as response:
            place = response.headers["WWW-Authenticate"].rpartition('resource_metadata="')[2].removesuffix('"')
        assert place == mail.base_url + RESOURCE
        async with http.get(place) as response:
            assert (await response.json())["authorization_servers"] == [ISSUER]


async def test_fastmail_names_its_session_as_the_resource(http: ClientSession) -> None:
    """And the scopes; at the well-known place with the resource's path behind it, too (RFC 9728 §3.1)."""
    async with served(fastmail(ISSUER)) as mail, http.get(f"{mail.base_url}{RESOURCE}/jmap/session") as response:
        metadata = await response.json()
        assert metadata["resource"] == f"{mail.base_url}/jmap/session"
        assert metadata["scopes_supported"] == ["urn:ietf:params:oauth:scope:mail"]


@pytest.mark.parametrize("shape", [fastmail, cyrus, twake])
async def test_without_an_issuer_nothing_says_how_to_sign_in(
    http: ClientSession, shape: Callable[[], MailSettings]
) -> None:
    """No metadata, no WebFinger, and a challenge that names none."""
    async with served(shape()) as mail:
        async with http.get(f"{mail.session_url}") as response:
            assert response.status == 401
            assert "resource_metadata" not in response.headers["WWW-Authenticate"]
        for path in (RESOURCE, "/.well-known/webfinger?resource=acct:demo@example.com"):
            async with http.get(mail.base_url + path) as response:
                assert response.status == 404


async def test_metadata_need_not_be_named(http: ClientSession) -> None:
    """A challenge may say nothing of what is at the well-known place."""
    settings = fastmail(ISSUER)
    settings.challenges = (challenge("Fastmail"),)
    async with served(settings) as mail:
        async with http.get(f"{mail.base_url}/jmap/session") as response:
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="Fastmail"'
        async with http.get(mail.base_url + RESOURCE) as response:
            assert response.status == 200


@pytest.mark.parametrize("resource", [None, 5, ["a"], "https://other.example"])
async def test_the_resource_can_be_anything(http: ClientSession, resource: object) -> None:
    """What the settings say is said."""
    settings = stalwart(ISSUER)
    settings.protected_resource = {"resource": resource}
    async with served(settings) as mail, http.get(mail.base_url + RESOURCE) as response:
        assert await response.json() == {"resource": resource}


@pytest.mark.parametrize("mount", ["", "/oidc"])
async def test_webfinger_names_the_issuer_of_james(http: ClientSession, mount: str) -> None:
    """At the host's root and below the gateway's mount, for anybody."""
    rel = "http://openid.net/specs/connect/1.0/issuer"
    async with (
        served(twake(ISSUER)) as mail,
        http.get(
            f"{mail.base_url}{mount}/.well-known/webfinger", params={"resource": "acct:a@example.com", "rel": rel}
        ) as response,
    ):
        assert response.content_type == "application/jrd+json"
        assert await response.json(content_type=None) == {
            "subject": "acct:a@example.com",
            "links": [{"rel": rel, "href": ISSUER}],
        }


@pytest.mark.parametrize(("query", "status"), [("?resource=acct:a@b&rel=avatar", 200), ("", 400)])
async def test_webfinger_answers_what_it_is_asked(http: ClientSession, query: str, status: int) -> None:
    """Another relation has no links, and nobody is nobody (RFC 7033 §4)."""
    async with served(twake(ISSUER)) as mail, http.get(f"{mail.base_url}/.well-known/webfinger{query}") as response:
        assert response.status == status
        if status == 200:
            assert (await response.json(content_type=None))["links"] == []

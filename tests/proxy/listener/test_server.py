import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE, StreamWriter
from multidict import CIMultiDict

from jmap_proxy.proxy.listener.admission import Admission
from jmap_proxy.proxy.listener.connections import KEEP_ALIVE
from jmap_proxy.proxy.listener.fast_connection import FastConnection
from jmap_proxy.proxy.listener.server import LONGEST_FIELD, MOST_FIELDS, Server, Writer
from tests.proxy.listener.hosting import HEAD, Endless, Host, answer
from tests.support.clock import Clock

LATIN = "attachment; filename=M\udcfcller"
"""A field with a byte of ISO 8859-1, as it is decoded."""


async def _answer(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"served")


@asynccontextmanager
async def serving(respond: object = _answer) -> AsyncIterator[tuple[Server, int]]:
    """A server that listens, and its port."""
    server = Server(respond, Admission(9, 9.0, Clock(0)), most=9, patience=9.0)  # type: ignore[arg-type]
    sockets = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield server, sockets.sockets[0].getsockname()[1]
    finally:
        sockets.close()
        await server.shutdown(0.01)  # 0 would be: without end


async def ask(port: int, sent: bytes = HEAD) -> bytes:
    """The head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


@pytest.mark.parametrize("sent", [b"GET / SECRET\r\n\r\n", b"G\x00ET SECRET\r\n\r\n", b"SECRET\r\n\r\n"])
async def test_malformed_requests_are_repeated_nowhere(
    host: Host, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """The client gets problem details, the log a line; neither holds what was sent."""
    with caplog.at_level(logging.DEBUG):
        reader, _ = await host.connect(sent)
        status, fields, body = await answer(reader)
    assert (status, fields["Content-Type"]) == (400, "application/problem+json")
    assert b"SECRET" not in body
    assert {record.levelname for record in caplog.records if record.name == "jmap_proxy.http"} <= {"INFO", "DEBUG"}
    assert caplog.records
    assert "SECRET" not in caplog.text


async def test_the_longest_head(host: Host) -> None:
    """Fields of the length and number that are told in the documents are taken, and no more."""
    fields = b"".join(b"X-%d: 1\r\n" % number for number in range(MOST_FIELDS - 1))
    long = b"X: " + b"x" * (LONGEST_FIELD - 100) + b"\r\n"
    for more, expected in (
        (fields, 200),
        (b"Y: 1\r\n" + fields, 400),
        (long, 200),
        (long[:-2] + b"x" * 200 + b"\r\n", 400),
    ):
        reader, _ = await host.connect(HEAD[:-2] + more + b"\r\n")
        assert (await answer(reader))[0] == expected


async def test_a_server_makes_our_connections() -> None:
    """In aiohttp's place, with its own `_loop` and the settings that it keeps in `_kwargs`."""
    async with serving() as (server, port):
        assert b" 200 OK" in await ask(port)
        assert server._loop is asyncio.get_running_loop()
        assert server._kwargs["max_headers"] == MOST_FIELDS
        connection = server()
        assert type(connection) is FastConnection
        assert connection.keepalive_timeout == KEEP_ALIVE
        assert (connection.max_line_size, connection.max_field_size) == (LONGEST_FIELD, LONGEST_FIELD)
        made = web.Server(_answer, keepalive_timeout=5)()
        assert type(made) is web.RequestHandler
        assert made.keepalive_timeout == 5


async def test_a_request_is_answered_by_our_writer() -> None:
    """However aiohttp calls the factory, and so without a task too; its own writer is not used."""
    seen: list[web.BaseRequest] = []

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        return await _answer(request)

    async with serving(respond) as (server, port):
        assert b"Server: jmap-proxy\r\n" in await ask(port)
        (request,) = seen
        assert type(request.writer) is Writer
        assert server.request_factory == server.request
        again = server.request(request._message, request.content, request.protocol)
        assert (again.method, again.raw_path, type(again.writer)) == ("GET", "/", Writer)


async def test_a_client_that_leaves_ends_its_request() -> None:
    """Aiohttp does that only where it is told to."""
    endless = Endless()
    async with serving(endless) as (_, port):
        asking = asyncio.create_task(ask(port))
        await endless.entered.wait()
        asking.cancel()
        await endless.cancelled.wait()


@pytest.mark.parametrize(
    ("given", "shown"), [({}, b"jmap-proxy"), ({"Server": SERVER_SOFTWARE}, b"jmap-proxy"), ({"Server": "x"}, b"x")]
)
async def test_nobody_is_told_aiohttp_and_its_version(given: dict[str, str], shown: bytes) -> None:
    """Neither that of Python; a mail server's own name is passed on."""

    async def respond(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(headers=given)

    async with serving(respond) as (_, port):
        head = await ask(port)
    assert b"\r\nServer: " + shown + b"\r\n" in head
    assert b"aiohttp" not in head.lower()


@pytest.mark.parametrize("body", [b"", b"a body"])
async def test_fields_that_are_not_utf_8_go_as_they_came(body: bytes) -> None:
    """A head waits in `_headers_buf` for the first bytes of the body, and `_headers_written` says that it has gone."""

    async def respond(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Disposition": LATIN, "X-Other": "é"})

    async with serving(respond) as (_, port):
        head = await ask(port)
    assert b"\r\nContent-Disposition: attachment; filename=M\xfcller\r\n" in head
    assert "\r\nX-Other: é\r\n".encode() in head


async def test_a_head_is_kept_where_aiohttp_keeps_it() -> None:
    """The same names, and the same bytes, whoever writes them."""
    async with serving() as (server, port):
        await ask(port)
        kept = []
        for kind in (StreamWriter, Writer):
            writer = kind(server(), asyncio.get_running_loop())
            await writer.write_headers("HTTP/1.1 200 OK", CIMultiDict({"X-Field": "é"}))
            kept.append((writer._headers_buf, writer._headers_written))
        assert kept == [("HTTP/1.1 200 OK\r\nX-Field: é\r\n\r\n".encode(), False)] * 2
        writer = Writer(server(), asyncio.get_running_loop())
        await writer.write_headers("HTTP/1.1 200 OK", CIMultiDict({"X-Field": LATIN}))
        assert writer._headers_buf == b"HTTP/1.1 200 OK\r\nX-Field: attachment; filename=M\xfcller\r\n\r\n"
        assert writer._headers_written is False


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "M\udcfcller\r\nX-Evil: 1", "M\udcfcller\0"])
async def test_no_control_character_is_written(value: str) -> None:
    """Neither by aiohttp nor by us."""
    async with serving() as (server, _):
        writer = Writer(server(), asyncio.get_running_loop())
        with pytest.raises(ValueError, match=r"(?i)control|newline|header injection"):
            await writer.write_headers("HTTP/1.1 200 OK", CIMultiDict({"X-Field": value}))

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from jmap_proxy.sandbox import MailServer
from tests.sandbox.helpers import GOOD

CORE = "urn:ietf:params:jmap:core"
CHANGED = {"u-demo": {"Email": "s7"}}


async def connect(http: ClientSession, mail: MailServer, *protocols: str) -> ClientWebSocketResponse:
    """Open a WebSocket."""
    return await http.ws_connect(f"{mail.base_url}/jmap/ws", headers=GOOD, protocols=protocols)


async def test_the_handshake_needs_token_and_subprotocol(mail: MailServer, http: ClientSession) -> None:
    """Without a good token it is 401, without the subprotocol jmap 400."""
    with pytest.raises(WSServerHandshakeError, match="401"):
        await http.ws_connect(f"{mail.base_url}/jmap/ws", protocols=["jmap"])
    with pytest.raises(WSServerHandshakeError, match="400"):
        await connect(http, mail, "other")
    async with await connect(http, mail, "other", "jmap") as socket:
        assert socket.protocol == "jmap"
        assert mail.sockets == 1


async def test_a_request_is_answered_under_its_id(mail: MailServer, http: ClientSession) -> None:
    """A Response echoes the request's id, and has none if there was none."""
    request = {"@type": "Request", "using": [CORE], "methodCalls": [["Core/echo", {"x": 1}, "c"]]}
    async with await connect(http, mail, "jmap") as socket:
        await socket.send_json({**request, "id": "r1"})
        answer = await socket.receive_json()
        assert (answer["@type"], answer["requestId"]) == ("Response", "r1")
        assert answer["methodResponses"] == [["Core/echo", {"x": 1}, "c"]]
        await socket.send_json(request)
        assert "requestId" not in await socket.receive_json()


@pytest.mark.parametrize(
    ("text", "kind", "request_id"),
    [
        ("{", "notJSON", None),
        ("[]", "notRequest", None),
        ('{"@type": "Other", "id": "r"}', "notRequest", "r"),
        ('{"@type": "Request", "id": "r", "using": ["urn:x"], "methodCalls": []}', "unknownCapability", "r"),
    ],
)
async def test_an_unsound_message_gets_a_request_error(
    mail: MailServer, http: ClientSession, text: str, kind: str, request_id: str | None
) -> None:
    """The error says what is wrong, under the message's id where it has one; the connection stays."""
    async with await connect(http, mail, "jmap") as socket:
        await socket.send_str(text)
        answer = await socket.receive_json()
    assert answer["@type"] == "RequestError"
    assert answer["type"] == f"urn:ietf:params:jmap:error:{kind}"
    assert answer.get("requestId") == request_id


async def test_push_can_be_switched_on_and_off(mail: MailServer, http: ClientSession) -> None:
    """State changes of the types asked for come only while push is enabled."""
    echo = {"@type": "Request", "using": [], "methodCalls": []}
    async with await connect(http, mail, "jmap") as socket:
        for types in (["Mailbox"], ["Email"], None):
            await socket.send_json({"@type": "WebSocketPushEnable", "dataTypes": types})
            await socket.send_json(echo)  # its answer shows that push is on
            assert (await socket.receive_json())["@type"] == "Response"
            mail.push_state(CHANGED)
            if types != ["Mailbox"]:
                assert await socket.receive_json() == {"@type": "StateChange", "changed": CHANGED}
        await socket.send_json({"@type": "WebSocketPushDisable"})
        await socket.send_json(echo)
        await socket.receive_json()
        mail.push_state(CHANGED)
        await socket.send_json(echo)
        assert (await socket.receive_json())["@type"] == "Response"


async def test_binary_messages_are_not_understood(mail: MailServer, http: ClientSession) -> None:
    """A binary message closes the connection with 1003."""
    async with await connect(http, mail, "jmap") as socket:
        await socket.send_bytes(b"x")
        assert (await socket.receive()).type is WSMsgType.CLOSE
        assert socket.close_code == 1003


async def test_shutdown_closes_sockets(http: ClientSession) -> None:
    """At shutdown the client hears 1001, push or not."""
    async with MailServer({"good": "demo"}.get) as mail:
        plain, pushed = [await connect(http, mail, "jmap") for _ in range(2)]
        await pushed.send_json({"@type": "WebSocketPushEnable", "dataTypes": ["Email"]})
    for socket in (plain, pushed):
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)


async def test_sockets_can_be_closed_with_a_code(mail: MailServer, http: ClientSession) -> None:
    """All that are open; others can be opened afterwards."""
    for _ in range(2):
        async with await connect(http, mail, "jmap") as socket:
            closing = asyncio.create_task(mail.close_sockets(1008))
            message = await socket.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1008)
            await closing

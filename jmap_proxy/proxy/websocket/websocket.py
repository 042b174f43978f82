"""JMAP over WebSocket (RFC 8887): the handshake first with the server, then with the client; then bytes both ways.

The messages themselves are not read: frames, pings, close codes and extensions are between the client and the server.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import CIMultiDict

from jmap_proxy.proxy.relay import relay
from jmap_proxy.proxy.upstream.exchange import Call
from jmap_proxy.proxy.websocket.handshake import accepted_fields, read_offer
from jmap_proxy.proxy.websocket.tunnel import tunnel
from jmap_proxy.proxy.wire.headers import to_upstream

if TYPE_CHECKING:
    from jmap_proxy.proxy.forwarding import Forwarding


async def forward_websocket(forwarding: Forwarding) -> web.StreamResponse:
    """Open a WebSocket to the server and then to the client, and pass on what comes.

    A server that does not switch protocols has its answer relayed like any other.

    Raises:
        UpgradeNeeded, HandshakeMalformed: the client's handshake is not sound; nothing was sent to the server.
        JmapProxyError: the server's handshake did not come about; nothing was sent to the client.
    """
    fields = list(forwarding.request.headers.items())
    offer = read_offer(fields, forwarding.request.version)
    call = Call("GET", forwarding.target.url, [*to_upstream(fields), *offer.fields()], prompt=True)
    async with forwarding.plane.exchange.send(call) as upstream:
        if upstream.status != HTTPStatus.SWITCHING_PROTOCOLS:
            return await relay(forwarding, upstream)
        headers = CIMultiDict(accepted_fields(offer, upstream.headers.items()))
        response = web.StreamResponse(status=upstream.status, headers=headers)
        response.force_close()  # its connection does not speak HTTP any more
        forwarding.passage.answer(upstream.status)
        await response.prepare(forwarding.request)
        await tunnel(forwarding.request, upstream)
        return response

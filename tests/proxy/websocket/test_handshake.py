import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.errors import HandshakeMalformed, UpgradeNeeded, UpstreamMalformed
from jmap_proxy.proxy.websocket.handshake import Offer, accept_of, accepted_fields, read_offer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
REQUEST = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Protocol": "jmap",
}
ANSWER = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Accept": ACCEPT,
    "Sec-WebSocket-Protocol": "jmap",
}


def changed(fields: dict[str, str], changes: dict[str, str | None]) -> list[tuple[str, str]]:
    """The fields with others in their place; None leaves one out."""
    return [(name, value) for name, value in {**fields, **changes}.items() if value is not None]


def test_the_example_of_the_rfc() -> None:
    """RFC 6455 §1.3."""
    assert accept_of(KEY) == ACCEPT


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Upgrade": "WebSocket", "Connection": "keep-alive, upgrade"},
        {"Sec-WebSocket-Protocol": "bearer.secret, jmap ,other"},
        {"Content-Length": "0"},
    ],
)
def test_a_sound_handshake_is_read(changes: dict[str, str | None]) -> None:
    """Names and tokens in any case; of several subprotocols jmap counts, and the others are not passed on."""
    offer = read_offer(changed(REQUEST, changes))
    assert offer == Offer(KEY)
    assert dict(offer.fields()) == REQUEST


def test_extensions_pass() -> None:
    """Those of all fields, parameters included, and back those that the server has chosen."""
    offered = [*REQUEST.items(), ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
    offer = read_offer([*offered, ("sec-websocket-extensions", "x")])
    assert offer.extensions == "permessage-deflate; client_max_window_bits, x"
    assert ("Sec-WebSocket-Extensions", offer.extensions) in offer.fields()
    chosen = ("Sec-WebSocket-Extensions", "Permessage-Deflate; client_max_window_bits=10")
    assert chosen in accepted_fields(offer, [*ANSWER.items(), chosen])


@pytest.mark.parametrize(
    "changes",
    [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Upgrade": "websocket, h2c"},
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Version": "8"},
        {"Sec-WebSocket-Version": "13, 8"},
    ],
)
def test_no_handshake_of_this_version(changes: dict[str, str | None]) -> None:
    """The error says what is spoken here."""
    with pytest.raises(UpgradeNeeded) as raised:
        read_offer(changed(REQUEST, changes))
    assert raised.value.status == 426
    assert raised.value.headers() == {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}


def test_http_1_0_cannot_upgrade() -> None:
    """RFC 9110 §7.8: Upgrade in a request of HTTP/1.0 is to be ignored."""
    with pytest.raises(UpgradeNeeded):
        read_offer(REQUEST.items(), (1, 0))


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"Sec-WebSocket-Key": None}, "Key"),
        ({"Sec-WebSocket-Key": "short"}, "Key"),
        ({"Sec-WebSocket-Key": "ÄÄÄ="}, "Key"),
        ({"Sec-WebSocket-Key": base64.b64encode(bytes(17)).decode()}, "Key"),
        ({"sec-websocket-key": KEY}, "Key"),
        ({"Sec-WebSocket-Protocol": None}, "jmap"),
        ({"Sec-WebSocket-Protocol": "JMAP, jmapx"}, "jmap"),
        ({"Content-Length": "1"}, "body"),
        ({"Transfer-Encoding": "chunked"}, "body"),
    ],
)
def test_an_unsound_handshake_is_refused(changes: dict[str, str | None], about: str) -> None:
    """400, and it says why."""
    with pytest.raises(HandshakeMalformed, match=about) as raised:
        read_offer(changed(REQUEST, changes))
    assert (raised.value.status, bool(raised.value.hint)) == (400, True)


def test_a_sound_answer_is_passed_on() -> None:
    """And nothing but the handshake: the connection's other fields are the server's own affair."""
    assert dict(accepted_fields(Offer(KEY), [*ANSWER.items(), ("Set-Cookie", "a=b")])) == ANSWER


@pytest.mark.parametrize(
    ("changes", "about"),
    [
        ({"Upgrade": None}, "something else"),
        ({"Upgrade": "h2c"}, "something else"),
        ({"Connection": "close"}, "something else"),
        ({"Sec-WebSocket-Accept": None}, "something else"),
        ({"Sec-WebSocket-Accept": accept_of("another")}, "something else"),
        ({"sec-websocket-accept": ACCEPT}, "something else"),
        ({"Sec-WebSocket-Protocol": None}, "subprotocol"),
        ({"Sec-WebSocket-Protocol": "other"}, "subprotocol"),
        ({"Sec-WebSocket-Protocol": "jmap, other"}, "subprotocol"),
        ({"Sec-WebSocket-Extensions": "x"}, "extension"),
        ({"Content-Length": "5"}, "body"),
        ({"Transfer-Encoding": "chunked"}, "body"),
    ],
)
def test_a_wrong_answer_is_refused(changes: dict[str, str | None], about: str) -> None:
    """A 101 that is not the answer to this very offer is none."""
    with pytest.raises(UpstreamMalformed, match=about):
        accepted_fields(Offer(KEY), changed(ANSWER, changes))


@given(st.lists(st.tuples(st.sampled_from([*REQUEST, *ANSWER, "Sec-WebSocket-Extensions"]), st.text(max_size=30))))
def test_nothing_but_sound_values_gets_through(fields: list[tuple[str, str]]) -> None:
    """Whatever stands in the fields, it is refused by an error of ours, or what comes out is sound."""
    try:
        offer = read_offer(fields)
    except (UpgradeNeeded, HandshakeMalformed):
        return
    assert len(base64.b64decode(offer.key)) == 16

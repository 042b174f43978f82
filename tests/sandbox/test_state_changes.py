from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError

from jmap_proxy.sandbox.state_changes import EventQuery, StateChange, StateChanges
from tests.sandbox.helpers import GOOD, until

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

    from jmap_proxy.sandbox import MailServer


async def test_who_listens_hears_of_changes_in_order() -> None:
    """Changes are numbered, come in order, and end when the server closes."""
    changes = StateChanges()
    with changes.listen() as listening:
        changes.publish({"a": {"Email": "1"}})
        changes.publish({"a": {"Email": "2"}})
        changes.close()
        first, second = await listening.next(), await listening.next(within=1)
        assert first == StateChange(1, {"a": {"Email": "1"}})
        assert second == changes.latest
        assert await listening.next() is None


async def test_waiting_can_be_bounded() -> None:
    """Without a change in time there is a TimeoutError."""
    with StateChanges().listen() as listening, pytest.raises(TimeoutError):
        await listening.next(within=0.001)


def test_a_change_is_cut_down_to_the_types_asked_for() -> None:
    """Other types and accounts without a type asked for are left out."""
    change = StateChange(1, {"a": {"Email": "1", "Mailbox": "2"}, "b": {"Mailbox": "3"}})
    assert change.for_types(frozenset({"Email"})) == {"@type": "StateChange", "changed": {"a": {"Email": "1"}}}
    assert change.for_types(frozenset({"Thread"})) is None
    whole = change.for_types(None)
    assert whole is not None
    assert whole["changed"] == change.changed


CHANGED = {"u-demo": {"Email": "s7"}}


async def listen(http: ClientSession, mail: MailServer, query: str = "", **headers: str) -> ClientResponse:
    """Open an event source."""
    return await http.get(f"{mail.base_url}/jmap/events?{query}", headers={**GOOD, **headers})


async def test_a_change_is_heard(mail: MailServer, http: ClientSession) -> None:
    """A pushed state is one whole event with an id; the open stream is counted."""
    async with await listen(http, mail, "types=*&closeafter=no&ping=0") as response:
        assert response.content_type == "text/event-stream"
        assert mail.streams == 1
        mail.push_state(CHANGED)
        event = await response.content.readuntil(b"\n\n")
    name, number, data = event.decode().split("\n")[:3]
    assert (name, number) == ("event: state", "id: 1")
    assert json.loads(data.removeprefix("data: ")) == {"@type": "StateChange", "changed": CHANGED}


async def test_a_client_that_leaves_is_noticed(mail: MailServer, http: ClientSession) -> None:
    """The stream ends on the server as soon as its client is gone, without waiting for a write."""
    (await listen(http, mail)).close()
    await until(lambda: mail.streams == 0)


async def test_only_the_types_asked_for_are_heard(mail: MailServer, http: ClientSession) -> None:
    """A change of other types is silent; `closeafter=state` ends the stream after the first event."""
    async with await listen(http, mail, "types=Email,Thread&closeafter=state") as response:
        mail.push_state({"u-demo": {"Mailbox": "s6"}})
        mail.push_state()
        events = (await response.read()).decode()
    assert events.count("event: state") == 1
    assert "Email" in events
    assert "Mailbox" not in events


async def test_pings_come(mail: MailServer, http: ClientSession) -> None:
    """With an interval there is a ping whenever nothing else happens."""
    async with await listen(http, mail, "ping=0.01") as response:
        assert await response.content.readuntil(b"\n\n") == b'event: ping\ndata: {"interval": 0.01}\n\n'


@pytest.mark.parametrize(
    ("seen", "missed"), [("0", [1, 2, 3]), ("1", [2, 3]), ("3", []), ("7", []), ("x", [3]), (None, [])]
)
async def test_what_was_missed_is_made_up_for(
    mail: MailServer, http: ClientSession, seen: str | None, missed: list[int]
) -> None:
    """A client that comes back gets all that came after its last event id, in order, and then what comes."""
    for _ in range(3):
        mail.push_state()
    headers = {} if seen is None else {"Last-Event-ID": seen}
    async with await listen(http, mail, **headers) as response:
        mail.push_state()
        events = [await response.content.readuntil(b"\n\n") for _ in [*missed, 4]]
    assert [event.split(b"\n")[1] for event in events] == [b"id: %d" % number for number in [*missed, 4]]


async def test_what_was_missed_is_told_after_a_restart_too(mail: MailServer, http: ClientSession) -> None:
    """The server is away for a while, and comes back on its port with all that happened meanwhile."""
    before = await listen(http, mail)
    mail.push_state(CHANGED)
    assert b"id: 1\n" in await before.content.readuntil(b"\n\n")
    async with mail.down():
        assert await before.read() == b""
        with pytest.raises(ClientConnectionError):
            await listen(http, mail)
        mail.push_state()
    async with await listen(http, mail, "closeafter=state", **{"Last-Event-ID": "1"}) as response:
        assert b"id: 2\n" in await response.read()


async def test_streams_can_be_ended_and_dropped(mail: MailServer, http: ClientSession) -> None:
    """Cleanly, or without a word."""
    async with await listen(http, mail) as response:
        mail.end_streams()
        assert await response.read() == b""
    async with await listen(http, mail) as response:
        mail.drop_streams()
        with pytest.raises(ClientPayloadError):
            await response.read()
    await until(lambda: mail.streams == 0)
    mail.end_streams()
    mail.drop_streams()


@pytest.mark.parametrize("query", ["", "ping=0.01"])
async def test_a_stream_ends_when_its_token_has_died(mail: MailServer, http: ClientSession, query: str) -> None:
    """Instead of the next event, or after the next ping."""
    async with await listen(http, mail, query) as response:
        mail.refused_tokens.add("good")
        if not query:
            mail.push_state()
        assert b"state" not in await response.read()


@pytest.mark.parametrize("ping", ["x", "-1"])
def test_an_odd_interval_means_none(ping: str) -> None:
    """What is no sensible interval counts as not asked for."""
    assert EventQuery.of({"ping": ping, "types": ""}) == EventQuery(None, False, 0)

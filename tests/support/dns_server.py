"""A DNS server on loopback whose records, and whose trouble, the test sets (RFC 1035; SRV: RFC 2782)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

if TYPE_CHECKING:
    from types import TracebackType

TTL = 60
"""Seconds that an answer may be kept."""
SILENCE = "silence"
"""The trouble of a name that gets no answer at all."""


@dataclass
class DnsServer:
    """Answers over UDP. Use it as an asynchronous context manager: it serves inside the `async with`.

    A name that no record was added for does not exist; one that has others than those asked for has no data.

    Attributes:
        port: Where it serves on 127.0.0.1; 0 until it serves.
        queries: Name, with the dot at its end, and type of every question so far.
        trouble: By name, a response code such as `SERVFAIL`, or `SILENCE`; `*` stands for all names.
        hold: Each answer waits for this event, if there is one: a slow server.
    """

    port: int = 0
    queries: list[tuple[str, str]] = field(default_factory=list)
    trouble: dict[str, str] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    _records: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], list[str]] = field(default_factory=dict)
    _answers: set[asyncio.Task[None]] = field(default_factory=set)
    _asked: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, name: str, kind: str, *values: str) -> None:
        """Add records.

        Args:
            name: The name, such as `_jmap._tcp.example.com`.
            kind: The type, such as `SRV`.
            values: In the words of a zone file; of an SRV, priority, weight, port and target: `0 1 443 m.example.com.`
        """
        self._records.setdefault((dns.name.from_text(name), dns.rdatatype.from_text(kind)), []).extend(values)

    async def asked(self, times: int = 1) -> None:
        """Wait until so many questions have come, from the beginning on."""
        while len(self.queries) < times:
            await self._asked.wait()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Questions(self), local_addr=("127.0.0.1", self.port)
        )
        self.port = int(self._transport.get_extra_info("sockname")[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for answer in self._answers:
            answer.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        self._transport.close()

    def received(self, wire: bytes, sender: Any) -> None:
        """Take a question, and begin to answer it."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        self.queries.append((question.name.to_text(), dns.rdatatype.to_text(question.rdtype)))
        self._asked.set()
        self._asked = asyncio.Event()
        task = asyncio.create_task(self._answer(query, question, sender))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, query: dns.message.Message, question: dns.rrset.RRset, sender: Any) -> None:
        if self.hold is not None:
            await self.hold.wait()
        response = self._response(query, question)
        if response is not None:
            self._transport.sendto(response.to_wire(max_size=65535), sender)

    def _response(self, query: dns.message.Message, question: dns.rrset.RRset) -> dns.message.Message | None:
        """The answer to a question, None if there is to be none."""
        trouble = self.trouble.get(question.name.to_text(omit_final_dot=True), self.trouble.get("*", ""))
        if trouble == SILENCE:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if trouble:
            response.set_rcode(dns.rcode.from_text(trouble))
        elif values := self._records.get((question.name, question.rdtype)):
            response.answer.append(dns.rrset.from_text_list(question.name, TTL, "IN", question.rdtype, values))
        elif question.name not in {name for name, _kind in self._records}:
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response


class _Questions(asyncio.DatagramProtocol):
    """Hands over what arrives."""

    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Hand over one question."""
        self._server.received(data, addr)

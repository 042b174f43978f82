"""Asks and listens with jmaplib (imported as `jmap`) over one WebSocket, with Bearer, until it is ended.

Measured: jmaplib 3.0 wants the subprotocol `jmap` back, and takes messages of 16 MiB. Cyrus 3.6 pushes for named data
types only: for `dataTypes: null`, which means all, it pushes nothing.
"""

from __future__ import annotations

import listening
from jmap.auth import BearerAuth
from jmap.client import JMAPClient
from jmap.push import WebSocketClient


def ask(socket: WebSocketClient) -> None:
    """Asks for the mailboxes and says their names."""
    with socket.batch() as batch:
        found = batch.mail.mailbox.get(ids=None)
    listening.say(answered=sorted(mailbox.name for mailbox in found.result.items))


def listen(socket: WebSocketClient) -> None:
    """Says each change that is pushed, and asks anew after each: requests and push share the connection."""
    for change in socket.notifications():
        listening.say(changed=change.changed)
        ask(socket)


if __name__ == "__main__":
    client = JMAPClient.connect(f"{listening.URL}/.well-known/jmap", auth=BearerAuth(listening.KEY))
    with WebSocketClient(client) as socket:
        listening.say(opened=101)
        socket.enable_push(["Email", "Mailbox"])
        ask(socket)  # the server takes messages in turn: once this is answered, push is on
        listen(socket)

"""Listens with jmaplib (imported as `jmap`) to the event source, with Bearer, until it is ended.

Measured: jmaplib 3.0 decodes what the answer's Content-Encoding names. When the stream ends it asks anew after three
seconds or what `retry` said, with the last event id.
"""

from __future__ import annotations

import listening
from jmap.auth import BearerAuth
from jmap.client import JMAPClient
from jmap.models.push import StateChange
from jmap.push import EventSourceClient

if __name__ == "__main__":
    listening.say_when_opened("httpx")
    client = JMAPClient.connect(f"{listening.URL}/.well-known/jmap", auth=BearerAuth(listening.KEY))
    for event in EventSourceClient(client).listen():
        if isinstance(event, StateChange):
            listening.say(changed=event.changed)

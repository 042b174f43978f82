"""Listens with jmapc to the event source, with Basic, until it is ended.

Measured: jmapc 0.4 reads below the chunked coding and below content codings, so that only a close-delimited stream that
is not compressed reaches it whole. When the stream ends it waits for three seconds and asks anew, with the last
event id.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import listening
from jmapc import Client

if __name__ == "__main__":
    listening.say_when_opened("urllib3.connectionpool")
    client = Client.create_with_password(urlsplit(listening.URL).netloc, "anybody", listening.KEY)
    for event in client.events:
        listening.say(changed={account: states.to_dict() for account, states in event.data.changed.items()})

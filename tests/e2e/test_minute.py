"""A minute of tokens that live five seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.e2e.conftest import TOKEN_LIFE
from tests.e2e.mail_client import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.mail_client import MailClient
    from tests.e2e.provider import Provider
    from tests.e2e.proxy import Proxy

_SECONDS = 60
_SHORTEST_USE = 1.75  # seconds of a token's life before its refresh: life - life/2 - 1.5 * life/10 (spread)


def _refreshes(provider: Provider, proxy: Proxy) -> int:
    """Refreshes that the provider has counted, once the proxy knows of as many.

    The proxy may be in the middle of one when it is asked, so it may be asked again for a while. A refresh token
    that was asked for and never used would keep them apart for good.
    """
    deadline = time.monotonic() + TOKEN_LIFE
    while True:
        counts, generation = provider.counts(proxy.client_id), proxy.generation()
        if counts == {"authorization_code": {"ok": 1}, "refresh_token": {"ok": generation - 1}}:
            return generation - 1
        assert time.monotonic() < deadline, f"the provider counts {counts}, the proxy is at generation {generation}"


def test_a_minute_of_short_tokens(provider: Provider, proxy: Proxy, mail_client: Callable[[str], MailClient]) -> None:
    """Three clients at once see no failure; each token request made a generation, and there are no more than needed."""
    began = time.monotonic()
    before = proxy.generation()
    running = [mail_client(name).start(_SECONDS) for name in CLIENTS]
    outcomes = {client.name: client.outcome() for client in running}
    refreshes = _refreshes(provider, proxy) - (before - 1)
    took = time.monotonic() - began
    assert {name: outcome.failures for name, outcome in outcomes.items()} == {name: [] for name in CLIENTS}
    assert all(outcome.operations > 100 for outcome in outcomes.values()), outcomes
    assert _SECONDS / TOKEN_LIFE <= refreshes <= took / _SHORTEST_USE + 2

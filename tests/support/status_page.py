"""The status page of made-up accounts on an admin listener of its own, for tests of what it shows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jmap_proxy.errors import JmapProxyError, KeyRefused, SignInError, TokenDelayed, UpstreamUnreachable
from jmap_proxy.proxy.listener.listener import Listener
from jmap_proxy.status.health import AdminHandler
from jmap_proxy.status.sign_in_again import SignInAgain
from jmap_proxy.status.status_page import FORM_PATIENCE, StatusPage
from jmap_proxy.status.traffic import Traffic
from jmap_proxy.tokens.report import State, TokenReport
from tests.support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

HOSTILE = '"><script>alert(1)</script>{{7*7}}\u202egnp.'
LONG = "a-very-long-account-name-that-somebody-has-made-up-to-see-what-happens-at-the-edge@mail.example.com"
SIGN_IN_URL = "https://sso.example.com/authorize?state=hidden"


async def waits_for_nobody(account: str, show: Callable[[str], None]) -> str:
    """A sign-in that fails at once."""
    del account, show
    raise SignInError("the sign-in is that of 'bob', and not the same person's as before", hint="try again as yourself")


@dataclass
class Shown:
    """What the page is made of; to be changed at any time."""

    clock: Clock = field(default_factory=Clock)
    reports: dict[str, TokenReport] = field(default_factory=dict)
    servers: dict[str, str] = field(default_factory=dict)
    origin: str = ""

    def __post_init__(self) -> None:
        self.traffic = Traffic(self.clock)

    def report(self, state: State, **changes: object) -> TokenReport:
        """An account in that state, with half of its token's life over."""
        now = self.clock.now
        known = {"issuer": "https://sso.example.com", "generation": 12, "obtained_at": now - 1800}
        times = {"expires_at": now + 1800, "next_refresh_at": now + 1440}
        return TokenReport(**{"state": state, **known, **times, **changes})  # type: ignore[arg-type]

    def add(self, name: str, state: State, **changes: object) -> None:
        """One more account."""
        self.reports[name] = self.report(state, **changes)
        self.servers[name] = "https://mail.example.com"

    def add_all_states(self) -> None:
        """Accounts in every state, with names and troubles that are long or mean harm, and an hour of traffic."""
        now = self.clock.now
        self.add("well", State.OK)
        self.add("ends-regularly", State.OK, likely_end_at=now + 6e5, clock_ahead=95.0, generation=1)
        self.add("idle", State.OK, expires_at=now - 7200, obtained_at=now - 10800, next_refresh_at=now - 8000)
        trouble = {"last_error": "the provider answers 503 Service Unavailable", "last_error_at": now - 65}
        self.add("retrying", State.RETRYING, **trouble)
        self.add("unsaved", State.UNSAVED, last_error="/var/lib/jmap: No space left on device", last_error_at=now - 5)
        gone = {"expires_at": None, "obtained_at": None, "next_refresh_at": None}
        lost = {"last_error": "the provider answers invalid_grant: revoked by the user", "last_error_at": now - 4000}
        self.add("needs-login", State.NEEDS_LOGIN, **{**lost, "next_refresh_at": None, "expires_at": now - 60})
        self.add("never", State.NEEDS_LOGIN, issuer="", generation=0, last_error="not signed in", **gone)
        self.add("refused", State.CLIENT_REFUSED, last_error=f"invalid_client: {HOSTILE}", last_error_at=now - 600)
        self.add("unreadable", State.STORE_ERROR, generation=0, last_error="the file is damaged: /x/y.jwe", **gone)
        self.add(HOSTILE, State.OK, issuer=f"https://{HOSTILE}/")
        self.add(LONG, State.OK)
        self.servers[LONG] = f"https://{'long.' * 30}example.com/jmap/session"

    def add_traffic(self) -> None:
        """An hour with ups and downs, and errors of several kinds."""
        end = self.clock.now
        for minute in range(60):
            self.clock.now = end - 60 * (59 - minute)
            for number in range((minute * 7) % 23 + 20 * (minute in {31, 32})):
                self.traffic.answered("api", 503 if number % 9 == 0 else 200, 0.05)
        self._fail("", KeyRefused("no local key was sent", hint="give the local key as password"), 3)
        self._fail("retrying", TokenDelayed("no token from the identity provider", hint="it is tried again"), 1)
        self._fail(HOSTILE, UpstreamUnreachable(f"no connection to {HOSTILE}"), 1)

    def _fail(self, account: str, error: JmapProxyError, times: int) -> None:
        for number in range(times):
            self.traffic.failed(account, error, f"{number:010x}")


@contextlib.asynccontextmanager
async def served(
    shown: Shown,
    flow: Callable[[str, Callable[[str], None]], object] = waits_for_nobody,
    form_patience: float = FORM_PATIENCE,
) -> AsyncIterator[SignInAgain]:
    """Serve the page while the context is open, and run its sign-ins by this flow."""
    again = SignInAgain(flow, shown.clock)  # type: ignore[arg-type]
    page = StatusPage(lambda: shown.reports, lambda: shown.servers, again, shown.traffic, shown.clock, form_patience)
    handler = AdminHandler(lambda: shown.reports, shown.clock, shown.traffic, dict, page.pages())
    listener = Listener(handler, patience=0.1)
    shown.origin = await listener.open("127.0.0.1", 0)
    try:
        yield again
    finally:
        await listener.close()
        await again.close()

"""The parts without the proxy: what the other tests take for granted."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import pytest

from tests.e2e.fetch import Answer, fetch
from tests.e2e.native_app import NativeApp

if TYPE_CHECKING:
    from tests.e2e.cyrus import Cyrus
    from tests.e2e.provider import Provider


@pytest.fixture(scope="module")
def app(provider: Provider) -> NativeApp:
    """An OAuth client with counts of its own at the provider."""
    return NativeApp(provider.issuer)


def _session(cyrus: Cyrus, authorization: str) -> Answer:
    return fetch(f"{cyrus.url}/jmap/", headers={"Authorization": authorization})


def test_a_token_opens_the_server_for_five_seconds(app: NativeApp, cyrus: Cyrus) -> None:
    """The provider's token is good at the server at once, and refused when its life is over."""
    tokens = app.sign_in()
    assert tokens["expires_in"] == 5
    bearer = f"Bearer {tokens['access_token']}"
    began = time.monotonic()
    assert _session(cyrus, bearer).json()["username"] == cyrus.user
    while _session(cyrus, bearer).status == 200:
        assert time.monotonic() - began < 8, "the token outlives its five seconds"
        time.sleep(0.1)
    assert time.monotonic() - began > 3, "the token died young"
    assert _session(cyrus, bearer).status == 401


def test_nothing_but_a_bearer_token_opens_the_server(cyrus: Cyrus) -> None:
    """The right password is refused, and no other way in than Bearer is offered."""
    basic = base64.b64encode(f"{cyrus.user}:{cyrus.password}".encode()).decode()
    for answer in (_session(cyrus, f"Basic {basic}"), fetch(f"{cyrus.url}/jmap/")):
        assert answer.status == 401
        assert answer.headers.get_all("WWW-Authenticate") == ['Bearer realm="localhost"']


def test_a_spent_refresh_token_revokes_the_grant(app: NativeApp, provider: Provider) -> None:
    """The provider rotates, refuses a refresh token that was used and then its successor too, and counts all that."""
    spent = app.sign_in()["refresh_token"]
    before = provider.counts(app.client_id).get("refresh_token", {})
    rotated = app.refresh(spent)
    assert rotated.status == 200
    successor = rotated.json()["refresh_token"]
    assert successor != spent
    assert [app.refresh(token).json()["error"] for token in (spent, successor)] == ["invalid_grant", "invalid_grant"]
    after = provider.counts(app.client_id)["refresh_token"]
    assert after["ok"] - before.get("ok", 0) == 1
    assert after["invalid_grant"] - before.get("invalid_grant", 0) == 2

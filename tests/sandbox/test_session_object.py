from __future__ import annotations

from jmap_proxy.sandbox import MailSettings
from jmap_proxy.sandbox.session_object import WEBSOCKET, session_object

BASE = "https://127.0.0.1:1"


def websocket_url(settings: MailSettings) -> str:
    """The WebSocket URL that a Session names."""
    return str(session_object("demo", BASE, settings)["capabilities"][WEBSOCKET]["url"])


def test_urls_are_relative_like_cyruss() -> None:
    """By default every URL is a path, and the WebSocket's has a scheme but no authority."""
    settings = MailSettings()
    session = session_object("demo", BASE, settings)
    assert session["apiUrl"] == "/jmap/api"
    assert session["downloadUrl"] == "/jmap/download/{accountId}/{blobId}/{name}?accept={type}"
    assert websocket_url(settings) == "wss:/jmap/ws"


def test_urls_can_be_absolute() -> None:
    """With `absolute_urls` every URL begins with the server's origin."""
    settings = MailSettings(absolute_urls=True)
    assert session_object("demo", BASE, settings)["uploadUrl"] == f"{BASE}/jmap/upload/{{accountId}}/"
    assert websocket_url(settings) == "wss://127.0.0.1:1/jmap/ws"


def test_another_origin_can_be_claimed() -> None:
    """A misconfigured server's Session names an origin that is not its own."""
    settings = MailSettings(advertised_origin="http://localhost")
    assert session_object("demo", BASE, settings)["apiUrl"] == "http://localhost/jmap/api"
    assert websocket_url(settings) == "ws://localhost/jmap/ws"


def test_the_state_is_stable_and_follows_the_content() -> None:
    """Equal Sessions have equal states, different ones different states."""
    first, second = (session_object("demo", BASE, MailSettings()) for _ in range(2))
    assert first == second
    assert first["state"] != session_object("ann", BASE, MailSettings())["state"]


def test_properties_can_be_added() -> None:
    """`extra_session` is merged in, also over what is there."""
    session = session_object("demo", BASE, MailSettings(extra_session={"x": 1, "state": "s"}))
    assert (session["x"], session["state"]) == (1, "s")


def test_a_username_is_told_as_the_settings_say() -> None:
    """Of that user, and of no other."""
    settings = MailSettings(usernames={"demo": "demo@example.com"})
    assert session_object("demo", BASE, settings)["username"] == "demo@example.com"
    assert session_object("ann", BASE, settings)["username"] == "ann"


def test_an_account_has_an_id_that_jmap_allows() -> None:
    """Whatever the user's name (RFC 8620 §1.2)."""
    assert list(session_object("ann@example.com", BASE, MailSettings())["accounts"]) == ["u-ann-example-com"]

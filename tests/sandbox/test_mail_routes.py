import pytest

from jmap_proxy.sandbox.mail_routes import Target, target_of


@pytest.mark.parametrize(
    ("raw_path", "target"),
    [
        ("/.well-known/jmap?x=/jmap/api", Target("well-known")),
        ("/jmap/api/", Target("api", "POST")),
        ("/jmap/ws/", Target("websocket")),
        ("/jmap/upload/a%2Fb/", Target("upload", "POST", "a/b")),
        ("/jmap/upload/a", Target("upload", "POST", "a")),
        ("/jmap/download/a/b/c/d", Target("download", "GET", "a", "b")),
        ("/jmap/download//b/", Target("download", "GET", "", "b")),
        ("/jmap/download/a", None),
        ("//jmap/api", None),
    ],
)
def test_the_raw_path_says_which_endpoint_is_meant(raw_path: str, target: Target | None) -> None:
    """Segments are told apart before they are unescaped, and none is lost."""
    assert target_of(raw_path) == target

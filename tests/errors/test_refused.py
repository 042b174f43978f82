from jmap_proxy.errors import BodyTooLarge, KeyRefused, MethodRefused


def test_a_wrong_key_is_asked_for_by_basic_first() -> None:
    """Clients choose by the first challenge (measured: mujmap)."""
    assert KeyRefused("no key").headers()["WWW-Authenticate"].startswith("Basic realm=")


def test_a_refused_method_tells_the_allowed_ones() -> None:
    """Allow goes with a 405."""
    error = MethodRefused("PUT", frozenset({"POST", "GET"}))
    assert error.headers() == {"Allow": "GET, POST"}
    assert error.hint == "use GET or POST"


def test_a_body_too_large_is_told_in_jmaps_words() -> None:
    """The problem is the one that the server itself would give (RFC 8620 §3.6.1)."""
    problem = BodyTooLarge(10).problem()
    assert (problem["type"], problem["limit"]) == ("urn:ietf:params:jmap:error:limit", "maxSizeRequest")
    assert problem["status"] == 413

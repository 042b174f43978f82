from jmap_proxy.errors import UpstreamMalformed, UpstreamSessionRefused, UpstreamSilent, UpstreamSlow


def test_only_what_harms_nothing_may_be_sent_again() -> None:
    """A slow answer to a question can be asked for again; what a silent server has done is not known."""
    slow, silent = UpstreamSlow("https://mail.example.com", 4.0), UpstreamSilent("https://mail.example.com")
    assert (slow.status, slow.headers()) == (503, {"Retry-After": "2"})
    assert "within 4 seconds" in slow.detail
    assert (silent.status, silent.headers()) == (504, {})


def test_a_session_that_is_refused_tells_how() -> None:
    """Forbidden makes a difference to `doctor`: gateways answer 403 to a token that is over (measured)."""
    refused = UpstreamSessionRefused(403)
    assert isinstance(refused, UpstreamMalformed)
    assert refused.forbidden
    assert not UpstreamSessionRefused(404).forbidden
    assert "answers 404" in UpstreamSessionRefused(404).detail

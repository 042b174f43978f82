import pytest

from jmap_proxy.errors import ConfigError, JmapProxyError, TokenDelayed


def test_the_problem_is_rfc_9457s() -> None:
    """Type, title, status and detail, with the hint where there is one."""
    assert ConfigError("wrong", hint="mend it").problem() == {
        "type": "urn:jmap-proxy:error:config",
        "title": "The configuration is wrong",
        "status": 500,
        "detail": "wrong",
        "hint": "mend it",
    }
    assert "hint" not in ConfigError("wrong").problem()


@pytest.mark.parametrize(("seconds", "field"), [(0.0, "1"), (0.2, "1"), (1.2, "2"), (60.0, "60")])
def test_retry_after_is_whole_seconds(seconds: float, field: str) -> None:
    """The field rounds up and is at least one second."""
    assert TokenDelayed("later", retry_after=seconds).headers() == {"Retry-After": field}


def test_an_error_shows_its_detail_alone() -> None:
    """What mends it stands apart."""
    error = JmapProxyError("it broke", hint="mend it")
    assert (str(error), error.detail, error.hint) == ("it broke", "it broke", "mend it")

import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.local_keys import new_key
from jmap_proxy.log import configure_logging, mask, mask_values

SECRETS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._~+/-]{15,40}", fullmatch=True)
SHAPES = st.sampled_from(
    [
        "Authorization: Bearer {}",
        "authorization: basic {}",
        '{{"access_token": "{}"}}',
        '{{"refresh_token" : "{}"}}',
        "{{'id_token': '{}'}}",
        '{{\\"refresh_token\\": \\"{}\\"}}',
        "grant_type=refresh_token&refresh_token={}&x=y",
        "GET /callback?code={}&iss=x",
        "code_verifier={}",
        "client_secret={}",
        "device_code={}",
        "state={}",
        "password: {}",
    ]
)


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Give what has been written to stderr; afterwards logging is as before."""
    level = logging.root.level
    yield lambda: capsys.readouterr().err
    structlog.reset_defaults()
    logging.root.setLevel(level)
    logging.root.handlers[:] = [h for h in logging.root.handlers if type(h) is not logging.StreamHandler]


@given(shape=SHAPES, secret=SECRETS)
def test_what_looks_like_a_credential_is_masked(shape: str, secret: str) -> None:
    """Of a secret in any of the usual shapes nothing is left."""
    assert secret not in mask(shape.format(secret))


@given(text=st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    """What is masked stays as it is."""
    assert mask(mask(text)) == mask(text)


def test_keys_and_jwts_are_masked_wherever_they_stand() -> None:
    """A local key and a JWT are known by their shape alone."""
    assert mask(f"with {new_key()}.") == "with [hidden]."
    assert mask("got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2ln here") == "got [hidden] here"


@pytest.mark.parametrize(
    "text",
    [
        "/home/alice/.local/state/jmap-proxy/tokens/alice.jwe: damaged",
        "the token endpoint answers 400 (no known error code), temporarily",
        "token refreshed",
        "state=ok",
        "401 for /jmap/api",
        "bearer tokens",
        "code: 200",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    """Short values and plain sentences are no secrets."""
    assert mask(text) == text


def test_every_value_of_an_event_is_masked() -> None:
    """Texts and the repr of other objects; what holds no secret keeps its type."""
    secret = "Bearer abcdefghijkl"
    event = mask_values(
        None, "", {"event": secret, "wait": 1.5, "error": ValueError(secret), "seen": [secret], "n": None}
    )
    assert "abcdefghijkl" not in repr(event)
    assert (event["wait"], event["n"]) == (1.5, None)


def test_lines_go_to_stderr_masked(stderr: Callable[[], str]) -> None:
    """Events, tracebacks and foreign libraries' lines, all without the secret and without control of the terminal."""
    configure_logging("info")
    secret = "Bearer abcdefghijkl"
    try:
        int(secret)
    except ValueError:
        structlog.get_logger().exception("broken", account="alice", header=secret)
        logging.getLogger("foreign").exception("with %s", secret)
    lines = stderr()
    assert lines.count("with base 10: '[hidden]'") == 2
    assert "account=alice" in lines
    assert "foreign with [hidden]" in lines
    assert "abcdefghijkl" not in lines


def test_the_level_is_a_threshold(stderr: Callable[[], str]) -> None:
    """What lies below is not written, by us or by others."""
    configure_logging("warning")
    structlog.get_logger().info("quiet")
    logging.getLogger("foreign").info("quiet")
    structlog.get_logger().warning("loud")
    lines = stderr()
    assert "quiet" not in lines
    assert "loud" in lines


@pytest.mark.usefixtures("stderr")
def test_a_log_that_cannot_be_written_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk behind stderr costs the lines, not the work of whoever logs."""
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr("sys.stderr", full)
        configure_logging("debug")
        structlog.get_logger().warning("lost")
        structlog.get_logger().error("lost too", padding="x" * 100_000)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()

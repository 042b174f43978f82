import contextlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

import jmap_proxy
from jmap_proxy.local_keys import new_key
from jmap_proxy.log import AREAS, LEVELS, Levels, configure_logging, mask, mask_values, parse_levels
from jmap_proxy.request_id import begin_request, current_request

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
    for area in AREAS:
        logging.getLogger(f"jmap_proxy.{area}").setLevel(logging.NOTSET)
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
    configure_logging(Levels("info"))
    secret = "Bearer abcdefghijkl"
    try:
        int(secret)
    except ValueError:
        structlog.get_logger().exception("broken", account="alice", header=secret)
        logging.getLogger("foreign").exception("with %s", secret)
    lines = stderr()
    assert lines.count("with base 10: '[hidden]'") == 2
    assert "account=alice" in lines
    assert "with [hidden]" in lines
    assert "[foreign]" in lines
    assert "abcdefghijkl" not in lines


def test_the_level_is_a_threshold(stderr: Callable[[], str]) -> None:
    """What lies below is not written, by us or by others."""
    configure_logging(Levels("warning"))
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
        configure_logging(Levels("debug"))
        structlog.get_logger().warning("lost")
        structlog.get_logger().error("lost too", padding="x" * 100_000)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("debug", Levels("debug")),
        (
            "WARNING, proxy=debug,tokens = info".replace(" = ", "="),
            Levels("warning", {"proxy": "debug", "tokens": "info"}),
        ),
        ("proxy=debug", Levels("info", {"proxy": "debug"})),
        ("proxy=debug,error", Levels("error", {"proxy": "debug"})),
    ],
)
def test_levels_are_written_by_area(text: str, levels: Levels) -> None:
    """One for all, others for areas; where none is for all, it stays as it was."""
    assert parse_levels(text, "info") == levels


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("loud", "'loud' is not one of 'debug', 'info', 'warning', 'error'"),
        ("", "'' is not one of"),
        ("info,", "'' is not one of"),
        ("proxy=", "'' is not one of"),
        ("proxy=loud", "'loud' is not one of"),
        ("prxy=debug", "no area 'prxy'; there is cli, "),
        ("jmap_proxy.proxy=debug", "no area"),
        ("info,debug", "the level for all is set twice"),
        ("proxy=info,proxy=debug", "proxy is set twice"),
    ],
)
def test_levels_that_cannot_be_meant_are_refused(text: str, told: str) -> None:
    """A name that is misspelt would be silence where lines are looked for."""
    with pytest.raises(ValueError, match=re.escape(told)):
        parse_levels(text, "info")


@given(default=st.sampled_from(LEVELS), areas=st.dictionaries(st.sampled_from(AREAS), st.sampled_from(LEVELS)))
def test_levels_come_back_from_their_text(default: str, areas: dict[str, str]) -> None:
    """In any order of the areas."""
    parts = [*(f"{area}={level}" for area, level in areas.items()), default]
    assert parse_levels(",".join(parts), "info") == Levels(default, areas)
    assert parse_levels(",".join(reversed(parts)), "info") == Levels(default, areas)
    assert parse_levels(Levels(default, areas).text, "info") == Levels(default, areas)


def test_every_part_that_logs_has_an_area() -> None:
    """Whatever name a logger of the package has, its level can be set; and no area is of the past."""
    package = Path(jmap_proxy.__file__).parent
    text = "".join(path.read_text() for path in package.rglob("*.py"))
    named = set(re.findall(r"getLogger\(\"jmap_proxy\.(\w+)\"\)|get_logger\(\"jmap_proxy\.(\w+)\"\)", text))
    assert {first or second for first, second in named} == set(AREAS)


def test_each_area_has_its_level(stderr: Callable[[], str]) -> None:
    """One is told of everything, the others of warnings; set anew, an area is as the others again."""
    configure_logging(parse_levels("warning,proxy=debug,tokens=error", "info"))
    for area in ("proxy", "tokens", "cli"):
        for level in ("debug", "warning", "error"):
            getattr(structlog.get_logger(f"jmap_proxy.{area}"), level)(f"{area}-{level}")
    logging.getLogger("jmap_proxy.proxy.inner").debug("proxy-foreign")
    logging.getLogger("foreign").info("foreign-info")
    lines = stderr()
    seen = set(re.findall(r"(?:proxy|tokens|cli|foreign)-\w+", lines))
    assert seen == {
        "proxy-debug", "proxy-warning", "proxy-error", "proxy-foreign", "tokens-error", "cli-warning", "cli-error",
    }  # fmt: skip
    assert re.search(r"proxy-debug +\[jmap_proxy.proxy\]", lines)
    configure_logging(Levels("warning"))
    structlog.get_logger("jmap_proxy.proxy").debug("proxy-debug")
    assert stderr() == ""


def test_an_object_in_each_line(stderr: Callable[[], str]) -> None:
    """With --log-format json: ours and those of libraries alike, tracebacks included, masked."""
    configure_logging(Levels("info"), "json")
    structlog.get_logger("jmap_proxy.tokens").info("refreshed", account="alice", wait=1.5, odd=Path("/x"))
    try:
        int("Bearer abcdefghijkl")
    except ValueError:
        structlog.get_logger().exception("broken", header="Bearer abcdefghijkl")
        logging.getLogger("foreign").exception("with %s", "Bearer abcdefghijkl")
    text = stderr()
    assert "abcdefghijkl" not in text
    first, second, third = map(json.loads, text.splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", first.pop("timestamp"))
    assert first.pop("odd") == repr(Path("/x"))
    assert first == {
        "event": "refreshed", "level": "info", "logger": "jmap_proxy.tokens", "account": "alice", "wait": 1.5,
    }  # fmt: skip
    assert (second["event"], second["level"], second["header"]) == ("broken", "error", "[hidden]")
    assert (third["event"], third["level"], third["logger"]) == ("with [hidden]", "error", "foreign")
    for line in (second, third):
        assert "ValueError: invalid literal for int() with base 10: '[hidden]'" in line["exception"]


async def test_each_line_says_which_request_it_is_about(stderr: Callable[[], str]) -> None:
    """Where there is one, a library's lines too."""
    configure_logging(Levels("info"), "json")
    structlog.get_logger().info("outside")
    begin_request()
    structlog.get_logger().info("inside")
    logging.getLogger("foreign").warning("inside")
    outside, *inside = map(json.loads, stderr().splitlines())
    assert "request_id" not in outside
    assert [line["request_id"] for line in inside] == [str(current_request())] * 2


@pytest.mark.usefixtures("stderr")
@pytest.mark.parametrize("form", ["console", "json"])
def test_the_journal_gets_priorities_and_no_times(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It notes the time itself; each line of a traceback has the priority of the whole (sd-daemon(3))."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as journal:
        status = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        monkeypatch.setattr("sys.stderr", journal)
        configure_logging(Levels("info"), form)
        structlog.get_logger().warning("careful")
        try:
            int("x")
        except ValueError:
            logging.getLogger("foreign").exception("broken")
        monkeypatch.undo()
        journal.seek(0)
        lines = journal.read().splitlines()
    if form == "json":
        assert [json.loads(line)["level"] for line in lines] == ["warning", "error"]
        return
    assert lines[0].startswith("<4>[warning")
    assert len(lines) > 3
    assert {line[:3] for line in lines[1:]} == {"<3>"}
    assert "\x1b" not in "".join(lines)


def test_another_journal_is_none(stderr: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is inherited by programs whose stderr is somewhere else."""
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    configure_logging(Levels("info"))
    structlog.get_logger().warning("careful")
    assert re.match(r"\d{4}-", stderr())

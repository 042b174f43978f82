from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from jmap_proxy.status.metrics import metrics_text, workers_text
from jmap_proxy.status.traffic import BOUNDS, KINDS, OUTCOMES, Traffic
from jmap_proxy.tokens.outcome import Refreshed, Rejected
from jmap_proxy.tokens.report import State, TokenReport

if TYPE_CHECKING:
    from collections.abc import Mapping

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

GOOD = TokenReport(state=State.OK, generation=7, expires_at=1060.0)
ODD_NAME = 'b"o\\b\n'


def scrape(
    reports: Mapping[str, TokenReport], traffic: Traffic, streams: Mapping[tuple[str, str], int] | None = None
) -> Samples:
    """All samples, as Prometheus' own parser reads them."""
    text = metrics_text(reports, traffic, streams or {}, 1000.0).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    """Of the sample with these labels, None if there is none."""
    return samples.get((f"jmap_proxy_{name}", frozenset(labels.items())))


def quiet() -> Traffic:
    """Nothing has happened."""
    return Traffic(lambda: 1000.0)


def test_a_lost_sign_in_is_a_metric() -> None:
    """Each account has one state; what is not known of its token is nought."""
    samples = scrape({"alice": GOOD, ODD_NAME: TokenReport(state=State.NEEDS_LOGIN)}, quiet())
    assert value(samples, "account_state", account="alice", state="ok") == 1
    assert value(samples, "account_state", account="alice", state="needs_login") == 0
    assert value(samples, "account_state", account=ODD_NAME, state="needs_login") == 1
    assert value(samples, "token_seconds_left", account="alice") == 60
    assert value(samples, "token_seconds_left", account=ODD_NAME) == 0
    assert value(samples, "token_generation", account="alice") == 7


def test_a_foretold_end_is_a_metric() -> None:
    """Of the accounts that have one only; nought would be a date."""
    foretold = TokenReport(state=State.OK, likely_end_at=2e9)
    samples = scrape({"alice": foretold, "bob": GOOD}, quiet())
    assert value(samples, "likely_sign_in_end_seconds", account="alice") == 2e9
    assert value(samples, "likely_sign_in_end_seconds", account="bob") is None


def test_without_accounts_there_is_nothing_to_tell() -> None:
    """The families are there all the same, each once."""
    text = metrics_text({}, quiet(), {}, 0.0).decode()
    families = list(text_string_to_metric_families(text))
    assert len(families) == len({family.name for family in families}) == 8
    assert text.count("# TYPE") == 8


def test_requests_and_their_latency() -> None:
    """By kind and status, with a histogram of the time until the answer began."""
    traffic = quiet()
    traffic.answered("api", 200, 0.02)
    traffic.answered("api", 200, 3.0)
    traffic.answered("session", 401, 60.0)
    samples = scrape({}, traffic)
    assert value(samples, "requests_total", kind="api", status="200") == 2
    assert value(samples, "requests_total", kind="session", status="401") == 1
    assert value(samples, "first_byte_seconds_count", kind="api") == 2
    assert value(samples, "first_byte_seconds_sum", kind="api") == 3.02
    assert value(samples, "first_byte_seconds_bucket", kind="api", le="0.01") == 0
    assert value(samples, "first_byte_seconds_bucket", kind="api", le="0.025") == 1
    assert value(samples, "first_byte_seconds_bucket", kind="api", le="+Inf") == 2
    assert value(samples, "first_byte_seconds_bucket", kind="session", le="10.0") == 0
    assert value(samples, "first_byte_seconds_bucket", kind="upload", le="+Inf") == 0


@given(st.lists(st.tuples(st.sampled_from(KINDS) | st.text(), st.integers(100, 999)), max_size=50))
def test_there_is_an_end_to_the_labels(answers: list[tuple[str, int]]) -> None:
    """Whatever servers answer: known kinds, known statuses, and one label for each class of the others."""
    traffic = quiet()
    for kind, status in answers:
        traffic.answered(kind, status, 0.1)
    counted = {key: n for key, n in scrape({}, traffic).items() if key[0] == "jmap_proxy_requests_total"}
    assert sum(counted.values()) == len(answers)
    for _, labels in counted:
        assert dict(labels)["kind"] in KINDS
        assert len(dict(labels)["status"]) == 3
    assert len({dict(labels)["status"] for _, labels in counted}) < 80


def test_refreshes_by_outcome() -> None:
    """All outcomes of each account from the start, so that a rate counts the first one; and of accounts that went."""
    traffic = quiet()
    traffic.refreshed("alice", Refreshed("secret-access", "secret-refresh", 60.0))
    traffic.refreshed("gone", Rejected("invalid_grant"))
    samples = scrape({"alice": GOOD}, traffic)
    for outcome in OUTCOMES:
        assert value(samples, "refreshes_total", account="alice", outcome=outcome) == (outcome == "refreshed")
    assert value(samples, "refreshes_total", account="gone", outcome="rejected") == 1
    assert "secret" not in repr(samples)


def test_open_streams_by_account_and_kind() -> None:
    """None is nought, not silence."""
    samples = scrape({"alice": GOOD, "bob": GOOD}, quiet(), {("alice", "events"): 3, ("gone", "websocket"): 1})
    assert value(samples, "open_streams", account="alice", kind="events") == 3
    assert value(samples, "open_streams", account="alice", kind="websocket") == 0
    assert value(samples, "open_streams", account="bob", kind="events") == 0
    assert value(samples, "open_streams", account="gone", kind="websocket") == 1


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(100, 599), st.floats(0, 100)), max_size=60))
def test_no_counter_ever_goes_back(answers: list[tuple[str, int, float]]) -> None:
    """Of two scrapes the later one has at least what the earlier one had, and buckets grow to the right."""
    traffic = quiet()
    before = scrape({"alice": GOOD}, traffic)
    for number, (kind, status, seconds) in enumerate(answers):
        traffic.answered(kind, status, seconds)
        traffic.refreshed("alice", Rejected("x"))
        if number % 10 == 0:
            after = scrape({"alice": GOOD}, traffic)
            assert before.keys() <= after.keys()
            assert all(after[key] >= old for key, old in before.items())
            before = after
    for kind in KINDS:
        ends = [*map(str, BOUNDS), "+Inf"]
        counts = [value(before, "first_byte_seconds_bucket", kind=kind, le=end) or 0 for end in ends]
        assert counts == sorted(counts)
        assert counts[-1] == value(before, "first_byte_seconds_count", kind=kind)


def test_a_proxy_with_workers() -> None:
    """Tells how many there are, and how many were replaced."""
    families = text_string_to_metric_families(workers_text(3, 2).decode())
    samples = {sample.name: sample.value for family in families for sample in family.samples}
    assert samples == {"jmap_proxy_workers": 3, "jmap_proxy_worker_replacements_total": 2}

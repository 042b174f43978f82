"""Metrics in the Prometheus text format. Pure: reports and counts in, text out.

Labels are account names, kinds, states, outcomes and statuses, never anything that a client wrote: they are bounded in
number, and no secret is among them.
"""

from __future__ import annotations

import math
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from jmap_proxy.proxy.session.endpoint import Kind
from jmap_proxy.status.traffic import with_zeros
from jmap_proxy.tokens.report import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from jmap_proxy.status.traffic import Traffic
    from jmap_proxy.tokens.report import TokenReport

    OpenStreams = Mapping[tuple[str, str], int]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STREAM_KINDS = (Kind.EVENTS.value, Kind.WEBSOCKET.value)

_STATUSES = frozenset(map(int, HTTPStatus))


def metrics_text(reports: Mapping[str, TokenReport], traffic: Traffic, streams: OpenStreams, now: float) -> bytes:
    """How the accounts are doing and what has gone through, as a scraper reads it.

    Args:
        reports: By account.
        traffic: Since the start.
        streams: How many are open, by account and kind.
        now: Epoch seconds.
    """
    registry = CollectorRegistry()
    registry.register(_Families(lambda: _accounts(reports, now)))
    registry.register(_Families(lambda: _traffic(reports, traffic, streams)))
    return generate_latest(registry)


def workers_text(serving: int, replaced: int) -> bytes:
    """What there is to add for a proxy with workers.

    Args:
        serving: Workers that serve now.
        replaced: Workers that were started in the place of one that had ended.
    """
    gauge = GaugeMetricFamily("jmap_proxy_workers", "Processes that serve.", value=serving)
    counter = CounterMetricFamily("jmap_proxy_worker_replacements", "Workers that were replaced.", value=replaced)
    registry = CollectorRegistry()
    registry.register(_Families(lambda: iter((gauge, counter))))
    return generate_latest(registry)


class _Families(Collector):
    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """One family after the other."""
        return self._families()


def _accounts(reports: Mapping[str, TokenReport], now: float) -> Iterator[Metric]:
    state = GaugeMetricFamily("jmap_proxy_account_state", "1 for the state that it is in.", labels=["account", "state"])
    left = GaugeMetricFamily("jmap_proxy_token_seconds_left", "Of the access token.", labels=["account"])
    generation = GaugeMetricFamily("jmap_proxy_token_generation", "1 at the sign-in.", labels=["account"])
    end = GaugeMetricFamily(
        "jmap_proxy_likely_sign_in_end_seconds",
        "Epoch seconds at which a new sign-in is likely needed, as those before it ended regularly.",
        labels=["account"],
    )
    for name, report in reports.items():
        for each in State:
            state.add_metric([name, each.value], float(report.state is each))
        left.add_metric([name], max(0.0, (report.expires_at or now) - now))
        generation.add_metric([name], report.generation)
        if report.likely_end_at is not None:
            end.add_metric([name], report.likely_end_at)
    yield from (state, left, generation, end)


def _traffic(reports: Mapping[str, TokenReport], traffic: Traffic, streams: OpenStreams) -> Iterator[Metric]:
    requests = CounterMetricFamily("jmap_proxy_requests", "Answered, by kind and status.", labels=["kind", "status"])
    latency = HistogramMetricFamily(
        "jmap_proxy_first_byte_seconds", "From a request's head to the begin of its answer.", labels=["kind"]
    )
    for kind, tally in traffic.tallies.items():
        for status, count in _by_label(tally.statuses).items():
            requests.add_metric([kind, status], count)
        buckets = [(_upper_end(bound), count) for bound, count in tally.cumulative()]
        latency.add_metric([kind], buckets, tally.seconds)
    refreshes = CounterMetricFamily(
        "jmap_proxy_refreshes", "What refreshes of the token came to.", labels=["account", "outcome"]
    )
    for (account, outcome), count in with_zeros(traffic.refreshes, reports).items():
        refreshes.add_metric([account, outcome], count)
    opened = GaugeMetricFamily("jmap_proxy_open_streams", "Event streams and WebSockets.", labels=["account", "kind"])
    for account, kind in dict.fromkeys([*((name, kind) for name in reports for kind in STREAM_KINDS), *streams]):
        opened.add_metric([account, kind], streams.get((account, kind), 0))
    yield from (requests, latency, refreshes, opened)


def _upper_end(bound: float) -> str:
    """Of a bucket, as the text format spells it."""
    return "+Inf" if math.isinf(bound) else str(bound)


def _by_label(statuses: Mapping[int, int]) -> Counter[str]:
    """The counts by status; those that HTTP does not know are one label for each class, whatever a server answers."""
    counts: Counter[str] = Counter()
    for status, count in statuses.items():
        counts[str(status) if status in _STATUSES else f"{status // 100}xx"] += count
    return counts

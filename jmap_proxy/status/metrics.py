"""Metrics in the Prometheus text format. Pure: reports in, text out. Account names are labels; no secret is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from jmap_proxy.tokens.report import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jmap_proxy.tokens.report import TokenReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(reports: Mapping[str, TokenReport], now: float) -> bytes:
    """How the accounts are doing, as a scraper reads it.

    Args:
        reports: By account.
        now: Epoch seconds.
    """
    registry = CollectorRegistry()
    registry.register(_Accounts(reports, now))
    return generate_latest(registry)


class _Accounts(Collector):
    def __init__(self, reports: Mapping[str, TokenReport], now: float) -> None:
        self._reports = reports
        self._now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family after the other."""
        state = GaugeMetricFamily(
            "jmap_proxy_account_state", "1 for the state that it is in.", labels=["account", "state"]
        )
        left = GaugeMetricFamily("jmap_proxy_token_seconds_left", "Of the access token.", labels=["account"])
        generation = GaugeMetricFamily("jmap_proxy_token_generation", "1 at the sign-in.", labels=["account"])
        for name, report in self._reports.items():
            for each in State:
                state.add_metric([name, each.value], float(report.state is each))
            left.add_metric([name], max(0.0, (report.expires_at or self._now) - self._now))
            generation.add_metric([name], report.generation)
        yield from (state, left, generation)

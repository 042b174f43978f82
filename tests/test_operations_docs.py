"""docs/operations.md: metrics, states, errors, exit codes and areas of the log are those of the program."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from jmap_proxy import errors
from jmap_proxy.cli.service import NOT_RUNNING
from jmap_proxy.log import AREAS
from jmap_proxy.status.metrics import metrics_text, workers_text
from jmap_proxy.status.traffic import KINDS, OUTCOMES, Traffic
from jmap_proxy.tokens.report import State, TokenReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jmap_proxy.errors import JmapProxyError

TEXT = (Path(__file__).parent.parent / "docs" / "operations.md").read_text("utf-8")
OF_COMMANDS = {0, 2, NOT_RUNNING, 130}
"""Done, wrong usage (click's), no service, interrupted."""

TO_CLIENTS = (errors.Refused, errors.TokenError, errors.UpstreamError)


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = section.partition("\n|---")[2].partition("\n\n")[0]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in table.splitlines()[1:]]


def below(kind: type[JmapProxyError]) -> Iterator[type[JmapProxyError]]:
    """All kinds of an error below one."""
    for each in kind.__subclasses__():
        yield each
        yield from below(each)


def families(text: bytes) -> dict[str, str]:
    """The metrics of Prometheus text, with their types."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family.type
        for family in text_string_to_metric_families(text.decode())
    }


def test_the_metrics() -> None:
    """All of them with their types, and no other one."""
    report = TokenReport(state=State.OK, likely_end_at=1e9)
    text = metrics_text({"alice": report}, Traffic(lambda: 0.0), Counter(), 0.0)
    assert {name: kind for name, kind, *_ in rows("Metrics")} == families(text)


def test_the_metrics_of_workers() -> None:
    """Told where workers are, and no other one."""
    assert {name: kind for name, kind, *_ in rows("More than one processor")} == families(workers_text(2, 0))


def test_the_labels() -> None:
    """The kinds of requests and the outcomes of refreshes are all named."""
    section = TEXT.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    kinds, outcomes = section.partition("`kind` is ")[2].partition("; `outcome` is ")[::2]
    assert tuple(re.findall(r"`(\w+)`", kinds)) == KINDS
    assert tuple(re.findall(r"`(\w+)`", outcomes.partition(". ")[0])) == OUTCOMES


def test_the_states() -> None:
    """In the order in which they are defined, as far as they are told."""
    section = TEXT.partition("\n## Is it well?\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE) == [state.value for state in State]


def test_the_errors() -> None:
    """Each code that a client can get, with its status."""
    told = {(kind.code, kind.status) for base in TO_CLIENTS for kind in below(base)}
    told |= {(kind.code, kind.status) for kind in (errors.JmapProxyError, errors.StoreError)}
    table = rows("What clients are told")
    assert {(code, int(status)) for code, status, _ in table} == told
    assert len(table) == len(told)


def test_the_exit_codes() -> None:
    """Each with which a command can end."""
    told = {errors.JmapProxyError.exit_code, *(kind.exit_code for kind in below(errors.JmapProxyError))}
    assert [int(code) for code, _ in rows("Exit codes")] == sorted(told | OF_COMMANDS)


def test_the_areas_of_the_log() -> None:
    """Each has a line."""
    assert [area for area, _ in rows("Logs")] == list(AREAS)

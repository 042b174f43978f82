"""The doctor's findings as a text that fits 80 columns, and as JSON. Pure."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from jmap_proxy.doctor.finding import Finding, Level, fails, without_home

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 80
MARGIN = 9
"""Columns for the level, before what is said."""

ORDER = (Level.ERROR, Level.WARNING, Level.INFO)


class Report(msgspec.Struct, frozen=True):
    """What `--json` prints.

    Attributes:
        ok: Whether there is no error, as the exit code says.
        findings: All of them, the worst first.
    """

    ok: bool
    errors: int
    warnings: int
    findings: tuple[Finding, ...]


def as_json(findings: Sequence[Finding], home: str) -> str:
    """All findings, with "~" for the home folder."""
    shown = tuple(without_home(finding, home) for level in (*ORDER, Level.OK) for finding in _of(findings, level))
    count = _count(findings)
    report = Report(not fails(findings), count[Level.ERROR], count[Level.WARNING], shown)
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def as_text(findings: Sequence[Finding]) -> str:
    """The findings, the worst first; what is well in one paragraph.

    A word that is longer than a line, as a path can be, stays whole, so that a command can be copied.
    """
    lines = [line for level in ORDER for finding in _of(findings, level) for line in _told(finding)]
    well = [f"{finding.account}: {finding.code}" if finding.account else finding.code for finding in findings]
    well = [name for name, finding in zip(well, findings, strict=True) if finding.level is Level.OK]
    if well:
        lines += [*_paragraph("ok", ", ".join(dict.fromkeys(well))), ""]
    return "\n".join([*lines, _summary(findings)])


def _told(finding: Finding) -> list[str]:
    where = f" ({finding.account})" if finding.account else ""
    lines = _paragraph(finding.level.value, f"{finding.code}{where}: {finding.what}")
    return [*lines, *_paragraph("", f"mend: {finding.mend}"), ""]


def _paragraph(level: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=level.ljust(MARGIN),
        subsequent_indent=" " * MARGIN,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _summary(findings: Sequence[Finding]) -> str:
    count = _count(findings)
    errors, warnings = (_number(count[level], level.value) for level in (Level.ERROR, Level.WARNING))
    return f"{errors}, {warnings}."


def _number(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _of(findings: Sequence[Finding], level: Level) -> list[Finding]:
    return [finding for finding in findings if finding.level is level]


def _count(findings: Sequence[Finding]) -> Counter[Level]:
    return Counter(finding.level for finding in findings)

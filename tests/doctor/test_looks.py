from __future__ import annotations

import asyncio

from jmap_proxy.doctor.finding import Finding, Level, ok
from jmap_proxy.doctor.looks import Looks
from jmap_proxy.errors import StoreError


async def _raise(error: Exception) -> list[Finding]:
    raise error


async def _hang() -> list[Finding]:
    await asyncio.Event().wait()
    return []


async def test_what_is_found_is_kept_in_order() -> None:
    """And what a look gives is given."""
    looks = Looks(10)
    assert await looks.take("it", asyncio.sleep(0, "given"), "otherwise") == "given"
    for code in ("a", "b"):
        await looks.add("it", asyncio.sleep(0, [ok(code, "well")]))
    assert [finding.code for finding in looks.findings] == ["a", "b"]


async def test_a_look_that_hangs_ends() -> None:
    """After its time, with a finding that names it."""
    looks = Looks(0)
    assert await looks.take("the store", _hang(), ["otherwise"]) == ["otherwise"]
    assert [(finding.code, finding.level) for finding in looks.findings] == [("no-answer", Level.WARNING)]
    assert looks.findings[0].what.startswith("the store: ")


async def test_a_look_that_fails_does_not_hide_the_others() -> None:
    """An error of ours is told as it is; of another one its kind, since its text can hold anything."""
    looks = Looks(10)
    await looks.add("it", _raise(StoreError("the disk is full", hint="make room")))
    await looks.add("it", _raise(ValueError("sesame")))
    assert [finding.what for finding in looks.findings] == ["the disk is full", "it: unforeseen ValueError"]
    assert looks.findings[0].mend == "make room"
    assert all(finding.level is Level.ERROR and finding.code == "look-failed" for finding in looks.findings)

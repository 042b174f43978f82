from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from jmap_proxy.doctor.examination import examine
from jmap_proxy.doctor.finding import Level
from jmap_proxy.doctor.installation import Installation
from jmap_proxy.sandbox import Fault
from tests.doctor.making import make_installation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from jmap_proxy.proxy.forwarding import Plane
    from jmap_proxy.proxy.source import TokenSource
    from tests.doctor.conftest import Patient


@asynccontextmanager
async def _installation(patient: Patient) -> AsyncIterator[Installation]:
    async with patient.world.assembly() as assembly:
        yield Installation(
            config=assembly.config,
            config_file=patient.world.config,
            accounts=tuple(assembly.config.accounts),
            state=assembly.state,
            data_keys=assembly.data_key,
            environment={},
            plane=assembly.plane,
            clock=assembly.clock,
            limit=0.2,
        )


async def test_a_server_and_a_provider_that_never_answer_do_not_hang_it(patient: Patient) -> None:
    """What they keep waiting is told, and all the rest is examined."""
    never = asyncio.Event()
    for server, place in ((patient.world.mail, "session"), (patient.world.idp, "metadata")):
        server.faults.add(place, Fault(hold=never, count=-1))
    async with _installation(patient) as installation:
        findings = await examine(installation)
    never.set()
    bad = sorted(finding.code for finding in findings if finding.level not in (Level.OK, Level.INFO))
    assert bad == ["no-answer", "provider-silent"]
    assert {"files", "sign-in", "door"} <= {finding.code for finding in findings}


async def test_what_is_unforeseen_does_not_hide_the_rest(patient: Patient) -> None:
    """It is told by its kind alone, since its text can hold anything."""

    async def plane(name: str, source: TokenSource) -> Plane:
        raise RuntimeError(name + await source.ensure_valid_token())

    async with _installation(patient) as installation:
        findings = await examine(dataclasses.replace(installation, plane=plane))
    (bad,) = [finding for finding in findings if finding.level is Level.ERROR]
    assert (bad.code, bad.what) == ("look-failed", "the Session of alice: unforeseen RuntimeError")


async def test_an_issuer_that_the_tokens_know_is_asked(patient: Patient) -> None:
    """The configuration need not name it."""
    text = patient.world.config.read_text()
    patient.world.config.write_text(text.replace(f'issuer = "{patient.world.idp.issuer}"', ""))
    before = patient.world.idp.metadata_requests
    _, told = await patient.examine()
    assert told == []
    assert patient.world.idp.metadata_requests > before


async def test_nobody_is_asked_whom_nobody_knows(tmp_path: Path) -> None:
    """A provider that only the sign-in will find is not looked for; the server is still reached for."""
    findings = await examine(make_installation(tmp_path, clock=lambda: 1e9))
    bad = {finding.code for finding in findings if finding.level in (Level.WARNING, Level.ERROR)}
    assert bad == {"not-signed-in", "unreachable", "proxy-not-running"}

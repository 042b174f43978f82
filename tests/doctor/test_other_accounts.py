"""Accounts of other kinds than most: registered by the program, or without a user. Nothing is held against them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec
import pytest

from jmap_proxy.tokens.registration import Registration
from tests.support.world import NAME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.doctor.conftest import Patient


async def make_registered(patient: Patient) -> None:
    """Neither issuer nor client_id is configured; the stored tokens know both."""
    world = patient.world
    tokens = await world.stored()
    registration = Registration(
        issuer=tokens.issuer, client_id=tokens.client_id, client_secret="registered-secret", registered_at=1.0
    )
    await world.assembly().store(NAME).save(msgspec.structs.replace(tokens, registration=registration))
    kept = [line for line in world.config.read_text().splitlines() if not line.startswith(("issuer", "client_id"))]
    world.config.write_text("\n".join(kept))


async def make_client_credentials(patient: Patient) -> None:
    """A client of its own: no user, no refresh token, a secret in a file."""
    world = patient.world
    secret = world.folder / "secret"
    secret.write_text("sesame-sesame")
    secret.chmod(0o600)
    patient.configure('sign_in = "client_credentials"', 'client_secret_file = "secret"')
    tokens = msgspec.structs.replace(
        await world.stored(), grant_type="client_credentials", refresh_token="", subject="", scope=""
    )
    await world.assembly().store(NAME).save(tokens)


KINDS = {"registered": make_registered, "client credentials": make_client_credentials}


def contents(folder: Path) -> dict[Path, tuple[int, str]]:
    """All files with their mode and what is in them."""
    return {
        path: (path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "")
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("age", [0, 7200])
async def test_they_are_well(patient: Patient, kind: str, age: int) -> None:
    """Also when the access token has ended: the next request has it renewed. Nothing is changed by looking."""
    await KINDS[kind](patient)
    if age:
        await patient.world.age(age)
    await patient.proxy.aclose()
    await patient.start()
    before, asked = contents(patient.world.folder), len(patient.world.idp.token_requests)
    ended, told = await patient.examine()
    assert [each["code"] for each in told] == (["token-ended"] if age else [])
    assert (ended.code, ended.err) == (0, "")
    assert contents(patient.world.folder) == before
    assert len(patient.world.idp.token_requests) == asked


@pytest.mark.parametrize("kind", KINDS)
async def test_before_the_first_sign_in(patient: Patient, kind: str) -> None:
    """The command is the same one."""
    await KINDS[kind](patient)
    await patient.world.assembly().store(NAME).remove()
    _, told = await patient.examine()
    assert [(each["code"], each["mend"]) for each in told] == [("not-signed-in", "run: jmap-proxy login alice")]

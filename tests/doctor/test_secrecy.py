"""Nothing secret is told: not of any file, and not what a server or a provider says back, who know the token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from jmap_proxy.sandbox import Fault
from jmap_proxy.tokens.registration import Registration
from tests.support.world import NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doctor.conftest import Patient

PLANTED = "hunter2-hunter2"


async def secrets_of(patient: Patient) -> set[str]:
    """What stands in the files, as it stands there; the local key is in none of them."""
    world = patient.world
    tokens = await world.stored()
    registration = Registration(
        issuer=tokens.issuer,
        client_id=tokens.client_id,
        client_secret="registered-secret",
        registration_access_token="registration-token",
        registered_at=1.0,
    )
    await world.assembly().store(NAME).save(msgspec.structs.replace(tokens, registration=registration))
    secret = world.folder / "secret"
    secret.write_text("sesame-in-a-file")
    secret.chmod(0o600)
    patient.configure('client_secret_file = "secret"')
    digest = next(iter(json.loads((world.state / "local-keys.json").read_bytes())["digests"].values()))
    key = (world.state / "data.key").read_text().strip()
    return {
        tokens.access_token,
        tokens.refresh_token,
        "registered-secret",
        "registration-token",
        "sesame-in-a-file",
        digest,
        key,
        patient.key,
    }


def _echo(patient: Patient, text: str) -> None:
    """The server and the provider say it wherever they can say something."""
    body = json.dumps({"type": "about:blank", "title": text, "detail": text, "error": text, "issuer": text}).encode()
    challenge = {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{text}"', "X-Echo": text}
    for server, place, status in ((patient.world.mail, "session", 401), (patient.world.idp, "metadata", 200)):
        server.faults.add(place, Fault(status=status, body=body, headers=challenge, count=-1))


def _as_user_name(patient: Patient, text: str) -> None:
    """The server says that it is the user's name."""
    patient.world.mail.settings.extra_session = {"username": f"x{text}x"}


def _as_origin(patient: Patient, text: str) -> None:
    """The Session names an origin that holds it."""
    patient.world.mail.settings.extra_session = {"apiUrl": f"https://{text}.example.net/{text}"}


def _as_issuer(patient: Patient, text: str) -> None:
    """The provider calls itself so."""
    patient.world.idp.settings.metadata_overrides["issuer"] = f"https://sso.example.com/{text}"


@pytest.mark.parametrize("say", [_echo, _as_user_name, _as_origin, _as_issuer])
@pytest.mark.parametrize("args", [(), ("--json",)])
async def test_no_secret_comes_back(
    patient: Patient, say: Callable[[Patient, str], None], args: tuple[str, ...]
) -> None:
    """In neither form of the report, at the most talkative level of logging, in any case of letters."""
    secrets = await secrets_of(patient)
    tokens = await patient.world.stored()
    for secret in (tokens.access_token, tokens.refresh_token.upper()):
        say(patient, secret)
        ended = await patient.world.invoke("doctor", "--log-level", "debug", *args)
        told = (ended.out + ended.err).lower()
        assert "sign-in" in told
        assert [each for each in secrets if each.lower() in told] == []


@pytest.mark.parametrize(
    "line",
    [
        f'client_secret = "{PLANTED}"',
        f'server = "https://alice:{PLANTED}@mail.example.com"',
        f'server = "https://mail.example.com/?access_token={PLANTED}"',
        f'issuer = "https://alice:{PLANTED}@sso.example.com"',
        f'upstream_origins = ["https://alice:{PLANTED}@cdn.example.com"]',
        f'password = "{PLANTED}',
    ],
)
async def test_a_secret_in_the_configuration_is_not_repeated(patient: Patient, line: str) -> None:
    """It does not belong there."""
    patient.world.config.write_text(f"[accounts.alice]\n{line}\n")
    for args in ((), ("--json",)):
        ended = await patient.world.invoke("doctor", *args)
        assert ended.code == 1
        assert PLANTED not in ended.out + ended.err


@pytest.mark.parametrize("file", ["tokens/alice.attempt", "tokens/alice.losses", "data-key.place", "local-keys.json"])
async def test_a_damaged_file_is_not_repeated(patient: Patient, file: str) -> None:
    """Whatever stands in it."""
    path = patient.world.state / file
    path.write_text(f'{{"{PLANTED}": "{PLANTED}"')
    path.chmod(0o600)
    ended = await patient.world.invoke("doctor", "--json")
    assert PLANTED not in ended.out + ended.err

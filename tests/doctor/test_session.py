"""That no token goes anywhere new, and nothing that a hostile server says shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.doctor.finding import Level
from jmap_proxy.doctor.session import judge_refusal
from jmap_proxy.errors import UpstreamSlow, UpstreamUnreachable
from tests.support.scripted_server import Scripted

if TYPE_CHECKING:
    from tests.doctor.conftest import Patient

SESSION = "/.well-known/jmap"


async def test_a_redirect_does_not_lead_the_token_away(patient: Patient) -> None:
    """The other server is not even asked."""
    async with Scripted() as thief, Scripted() as server:
        server.answers[SESSION] = (307, b"", {"Location": f"{thief.origin}{SESSION}"})
        patient.configure(server=server.origin)
        _, told = await patient.examine()
    assert [each["code"] for each in told] == ["origin-not-allowed"]
    assert thief.headers == []


async def test_a_server_that_repeats_the_token_does_not_have_it_shown(patient: Patient) -> None:
    """It knows the token, and what it says is told; in a host's name the letters are small."""
    token = (await patient.world.stored()).access_token
    async with Scripted() as server:
        server.answers[SESSION] = (307, b"", {"Location": f"https://x{token}x.example.net/"})
        patient.configure(server=server.origin)
        ended, told = await patient.examine()
        human = await patient.world.invoke("doctor")
    assert [each["code"] for each in told] == ["origin-not-allowed"]
    assert "https://x[secret]x.example.net" in told[0]["what"]
    assert token.lower() not in (ended.out + ended.err + human.out + human.err).lower()


async def test_the_token_goes_to_the_server_alone_and_once(patient: Patient) -> None:
    """The clock is looked at without it."""
    patient.world.mail.requests.clear()
    token = (await patient.world.stored()).access_token
    await patient.examine()
    assert sorted(request.token for request in patient.world.mail.requests) == ["", token]


def test_a_server_that_takes_its_time_is_busy() -> None:
    """And one that goes away in between has failed."""
    assert judge_refusal("alice", UpstreamSlow("https://a", 4)).code == "server-busy"
    fails = judge_refusal("alice", UpstreamUnreachable("https://a: gone"))
    assert (fails.code, fails.level, fails.mend) == ("session-fails", Level.ERROR, "check accounts.alice.server")

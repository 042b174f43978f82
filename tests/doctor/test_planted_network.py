"""Faults of the network, the provider and the server: the doctor finds exactly the planted one and names its mend."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.sandbox import Fault
from jmap_proxy.sandbox.session_object import CORE, MAIL, WEBSOCKET
from tests.doctor.old_server import tls_server
from tests.doctor.planting import Plants, assert_found
from tests.support.certificates import private_authority
from tests.support.ports import free_port
from tests.support.scripted_server import Scripted
from tests.support.world import NAME

if TYPE_CHECKING:
    from tests.doctor.conftest import Patient
    from tests.doctor.planting import Planted, Planting

plants = Plants()

PAST = "Tue, 01 Jan 2030 00:00:00 GMT"
"""For a server's Date; far from now either way."""


# The network


@plants("dns", "accounts.alice.server")
async def _a_server_that_has_no_address(planting: Planting) -> None:
    planting.patient.configure(server="https://no_such_host..invalid")


@plants("unreachable", "accounts.alice.server")
async def _a_server_that_is_down(planting: Planting) -> None:
    planting.patient.configure(server=f"http://127.0.0.1:{free_port()}")


@plants("unreachable", "accounts.alice.issuer")
async def _a_provider_that_is_down(planting: Planting) -> None:
    planting.patient.configure(issuer=f"http://127.0.0.1:{free_port()}")
    await planting.save(issuer=planting.patient.world.assembly().config.accounts[NAME].issuer)


@plants("tls-expired", "renew it")
async def _a_server_whose_certificate_has_expired(planting: Planting) -> None:
    await _serve_tls(planting, lasts=dt.timedelta(days=-1))


@plants("tls-wrong-name", "accounts.alice.server")
async def _a_server_whose_certificate_is_for_another_name(planting: Planting) -> None:
    await _serve_tls(planting, address="127.0.0.2")


@plants("tls-unknown-ca", "accounts.alice.ca_file")
async def _a_server_of_a_private_authority(planting: Planting) -> None:
    await _serve_tls(planting, known=False)


@plants("tls-too-old", "ask whoever runs 127.0.0.1")
async def _a_server_of_long_ago(planting: Planting) -> None:
    ca_file, context = private_authority(planting.patient.world.folder)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    origin = planting.stack.enter_context(tls_server(context))
    planting.patient.configure(f'ca_file = "{ca_file}"', server=origin)


@plants("tls-missing", "accounts.alice.server")
async def _a_server_without_tls(planting: Planting) -> None:
    origin = await planting.serve(Scripted())
    planting.patient.configure(server=origin.replace("http:", "https:"))


async def _serve_tls(
    planting: Planting,
    *,
    address: str = "127.0.0.1",
    lasts: dt.timedelta = dt.timedelta(days=1),
    known: bool = True,
) -> None:
    folder = planting.patient.world.folder
    ca_file, context = private_authority(folder, address=address, lasts=lasts)
    origin = await planting.serve(Scripted(ssl_context=context))
    planting.patient.configure(*([f'ca_file = "{ca_file}"'] if known else []), server=origin)


# The provider


@plants("metadata-missing", "accounts.alice.issuer")
async def _no_metadata(planting: Planting) -> None:
    settings = planting.patient.world.idp.settings
    settings.serve_oauth_metadata = settings.serve_openid_configuration = False


@plants("metadata-malformed", "accounts.alice.issuer")
async def _metadata_that_are_none(planting: Planting) -> None:
    planting.patient.world.idp.faults.add("metadata", Fault(garbage=True, count=-1))


@plants("issuer-mismatch", "set accounts.alice.issuer to exactly what the provider calls itself")
async def _metadata_of_another_issuer(planting: Planting) -> None:
    idp = planting.patient.world.idp
    idp.settings.metadata_overrides["issuer"] = f"{idp.issuer}/"


@plants("endpoint-unsafe", "https")
async def _an_endpoint_that_is_not_protected(planting: Planting) -> None:
    planting.patient.world.idp.settings.metadata_overrides["token_endpoint"] = "http://sso.example.com/token"


@plants("provider-silent", "accounts.alice.issuer")
async def _a_provider_that_breaks_off(planting: Planting) -> None:
    planting.patient.world.idp.faults.add("metadata", Fault(drop_early=True, count=-1))


# The server


@plants("token-refused", "jmap-proxy login alice")
async def _a_server_that_refuses_the_token(planting: Planting) -> None:
    planting.patient.world.mail.refuse_all = True


@plants("session-forbidden", "jmap-proxy login alice")
async def _a_server_that_gives_no_rights(planting: Planting) -> None:
    planting.patient.world.mail.faults.add("session", Fault(status=403, count=-1))


@plants("session-malformed", "accounts.alice.server")
async def _a_web_page_in_place_of_the_session(planting: Planting) -> None:
    page = Fault(body=b"<!doctype html><title>Webmail</title>", content_type="text/html", count=-1)
    planting.patient.world.mail.faults.add("session", page)


@plants("session-malformed", "accounts.alice.server")
async def _a_path_at_which_there_is_nothing(planting: Planting) -> None:
    planting.patient.configure(server=f"{planting.patient.world.mail.base_url}/mail")


@plants("session-without-accounts", "jmap-proxy login alice")
async def _a_session_of_nobody(planting: Planting) -> None:
    planting.patient.world.mail.settings.extra_session = {"accounts": {}, "primaryAccounts": {}}


@plants("origin-not-allowed", "upstream_origins")
async def _a_session_that_names_another_host(planting: Planting) -> None:
    planting.patient.world.mail.settings.advertised_origin = "https://mail.example.net"


@plants("origin-not-allowed", 'rewrite = "force"')
async def _a_session_that_names_this_machine(planting: Planting) -> None:
    planting.patient.world.mail.settings.advertised_origin = "http://localhost"


@plants("capability-left-out", "accounts.alice.upstream_origins", "warning")
async def _a_capability_at_another_host(planting: Planting) -> None:
    capabilities = {CORE: {}, MAIL: {}, WEBSOCKET: {"url": "wss://push.example.net/ws"}}
    planting.patient.world.mail.settings.extra_session = {"capabilities": capabilities}


@plants("server-busy", "try again later", "warning")
async def _a_server_that_is_busy(planting: Planting) -> None:
    planting.patient.world.mail.faults.add("session", Fault(status=503, count=-1))


@plants("server-silent", "accounts.alice.server", "warning", "token-ended")
async def _a_server_that_does_not_answer_whom_it_need_not(planting: Planting) -> None:
    planting.patient.configure(server=await planting.serve(_Mute()))
    await planting.save(expires_at=(await planting.patient.world.stored()).obtained_at + 1)
    await planting.patient.world.age(60)


class _Mute(Scripted):
    """Closes each connection without an answer."""

    async def _answer(self, request: Any) -> Any:
        request.transport.close()
        return await super()._answer(request)


@plants("clock", "timedatectl set-ntp true")
async def _a_clock_that_is_wrong(planting: Planting) -> None:
    world = planting.patient.world
    for server, place in ((world.idp, "metadata"), (world.mail, "session")):
        server.faults.add(place, Fault(headers={"Date": PAST}, count=-1))


@plants("clock-of-server", "ask whoever runs", "warning")
async def _a_clock_of_a_server_that_is_wrong(planting: Planting) -> None:
    planting.patient.world.mail.faults.add("session", Fault(headers={"Date": PAST}, count=-1))


@pytest.mark.parametrize("planted", plants.all, ids=lambda planted: planted.name)
async def test_it_finds_exactly_the_planted_fault_and_names_its_mend(patient: Patient, planted: Planted) -> None:
    """See `assert_found`."""
    await assert_found(patient, planted)

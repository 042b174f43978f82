"""Faults of the proxy and its listeners: the doctor finds exactly the planted one and names its mend."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec
import pytest

from jmap_proxy.local_keys import LocalKeys
from tests.doctor.front import Front
from tests.doctor.planting import Plants, assert_found
from tests.support.certificates import private_authority
from tests.support.ports import free_port
from tests.support.scripted_server import Scripted

if TYPE_CHECKING:
    from tests.doctor.conftest import Patient
    from tests.doctor.planting import Planted, Planting

plants = Plants()


# The proxy


@plants("proxy-not-running", "jmap-proxy serve", "warning")
async def _no_proxy(planting: Planting) -> None:
    await planting.patient.proxy.aclose()


@plants("admin-off", "listen.admin", "info")
async def _no_admin_listener(planting: Planting) -> None:
    planting.patient.configure(listen='admin = ""')
    await planting.patient.start()


@plants("account-not-served", "restart jmap-proxy serve", "warning")
async def _an_account_that_the_proxy_does_not_know(planting: Planting) -> None:
    world = planting.patient.world
    lines = ["[accounts.bob]", f'server = "{world.mail.base_url}"']
    planting.patient.configure(*lines)
    tokens = await world.stored()
    await world.assembly().store("bob").save(msgspec.structs.replace(tokens, account="bob"))
    LocalKeys(world.state).renew("bob")


@plants("port-taken", "listen.http to another port")
async def _another_program_at_the_port(planting: Planting) -> None:
    origin = await planting.serve(Scripted())
    planting.patient.configure(http=int(origin.rpartition(":")[2]))


@plants("port-taken", "listen.https to another port")
async def _a_program_that_speaks_no_tls_at_the_https_port(planting: Planting) -> None:
    origin = await planting.serve(Scripted())
    world = planting.patient.world
    assert (await world.invoke("cert")).code == 0
    planting.patient.configure(listen=f'https = "127.0.0.1:{origin.rpartition(":")[2]}"')


@plants("port-not-served", "restart jmap-proxy serve", "warning")
async def _a_port_that_the_proxy_has_not_taken_up(planting: Planting) -> None:
    planting.patient.configure(http=free_port())


@plants("host-filter-open", "pass on Host and Origin")
async def _something_that_rewrites_host(planting: Planting) -> None:
    await _put_in_front(planting, rewritten={"Host": f"127.0.0.1:{planting.patient.http}"})


@plants("origin-filter-open", "pass on Host and Origin")
async def _something_that_takes_origin_away(planting: Planting) -> None:
    await _put_in_front(planting, removed=("Origin",))


@plants("key-not-asked", "Authorization of its own")
async def _something_that_adds_the_key(planting: Planting) -> None:
    await _put_in_front(planting, rewritten={"Authorization": f"Bearer {planting.patient.key}"})


async def _put_in_front(
    planting: Planting, rewritten: dict[str, str] | None = None, removed: tuple[str, ...] = ()
) -> None:
    front = Front(planting.patient.http, rewritten or {}, removed)
    origin = (await planting.stack.enter_async_context(front)).origin
    planting.patient.configure(http=int(origin.rpartition(":")[2]))


# The certificate for https


@plants("certificate-missing", "jmap-proxy cert")
async def _no_certificate(planting: Planting) -> None:
    planting.patient.configure(listen=f'https = "127.0.0.1:{free_port()}"')


@plants("certificate-unusable", "jmap-proxy cert")
async def _a_certificate_without_its_key(planting: Planting) -> None:
    assert (await planting.patient.world.invoke("cert")).code == 0
    (planting.patient.world.state / "tls" / "key.pem").unlink()
    planting.patient.configure(listen=f'https = "127.0.0.1:{free_port()}"')


@plants("certificate-wrong-name", "jmap-proxy cert")
async def _a_certificate_for_other_names(planting: Planting) -> None:
    assert (await planting.patient.world.invoke("cert")).code == 0
    planting.patient.configure(listen=f'https = "127.0.0.1:{free_port()}"\nhosts = ["mail.lan"]')


@plants("certificate-expired", "renew listen.cert_file")
async def _a_certificate_that_has_expired(planting: Planting) -> None:
    await _show_certificate(planting, dt.timedelta(days=-3))


@plants("certificate-ends-soon", "renew listen.cert_file", "warning")
async def _a_certificate_that_ends_soon(planting: Planting) -> None:
    await _show_certificate(planting, dt.timedelta(days=3))


async def _show_certificate(planting: Planting, lasts: dt.timedelta) -> None:
    folder = planting.patient.world.folder
    private_authority(folder, lasts=lasts)
    (folder / "leaf.pem").chmod(0o600)
    listen = f'https = "127.0.0.1:{free_port()}"\ncert_file = "leaf.pem"\nkey_file = "leaf.pem"'
    planting.patient.configure(listen=listen)
    await planting.patient.start()


@pytest.mark.parametrize("planted", plants.all, ids=lambda planted: planted.name)
async def test_it_finds_exactly_the_planted_fault_and_names_its_mend(patient: Patient, planted: Planted) -> None:
    """See `assert_found`."""
    await assert_found(patient, planted)

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.cli.cert import trust
from jmap_proxy.tls.contexts import server_context
from tests.support.certificates import shake_hands

if TYPE_CHECKING:
    from tests.support.world import World


async def test_it_makes_a_certificate_and_says_how_it_is_trusted(world: World) -> None:
    """A client that trusts the file that is named accepts the certificate; what to configure stands last."""
    ended = await world.invoke("cert")
    assert (ended.code, ended.err) == (0, "")
    tls = world.state / "tls"
    client = ssl.create_default_context(cafile=tls / "ca.pem")
    server = server_context(str(tls / "cert.pem"), str(tls / "key.pem"))
    for name in ("localhost", "127.0.0.1", "::1"):
        shake_hands(client, server, name)
    fingerprint = ssl.create_default_context(cafile=tls / "ca.pem").get_ca_certs(binary_form=True)
    assert fingerprint
    assert f"Authority: {tls / 'ca.pem'}" in ended.out
    assert "clients have to trust it" in ended.out
    assert f"REQUESTS_CA_BUNDLE={tls / 'ca.pem'}" in ended.out
    assert ended.out.splitlines()[-1].endswith('[listen]: https = "127.0.0.1:8621"')


async def test_again_it_renews_the_certificate_alone(world: World) -> None:
    """And says that nobody needs to be told; with --new-ca everybody does."""
    first = await world.invoke("cert")
    ca = (world.state / "tls" / "ca.pem").read_bytes()
    second = await world.invoke("cert")
    assert (world.state / "tls" / "ca.pem").read_bytes() == ca
    assert "who trusts it needs nothing more" in second.out
    assert "REQUESTS_CA_BUNDLE" not in second.out
    third = await world.invoke("cert", "--new-ca")
    assert (world.state / "tls" / "ca.pem").read_bytes() != ca
    assert "The authority is new (it was asked for)" in third.out
    assert [ended.code for ended in (first, second, third)] == [0, 0, 0]


async def test_a_certificate_of_the_users_own_is_said_to_come_first(world: World) -> None:
    """Who has configured one would else wonder."""
    world.config.write_text('[listen]\nhttps = "127.0.0.1:0"\ncert_file = "c"\nkey_file = "k"\nhosts = ["mail.lan"]\n')
    ended = await world.invoke("cert")
    assert "localhost, 127.0.0.1, ::1, mail.lan, until " in ended.out
    assert ended.out.splitlines()[-1] == "It is not used: listen.cert_file names another certificate."


async def test_a_damaged_authority_is_told(world: World) -> None:
    """Exit code 74, with the command that mends it."""
    await world.invoke("cert")
    (world.state / "tls" / "ca.pem").write_bytes(b"damaged")
    ended = await world.invoke("cert")
    assert ended.code == 74
    assert "jmap-proxy cert --new-ca" in ended.err


@pytest.mark.parametrize(
    "line",
    [
        "sudo cp '/my state/ca.pem' /usr/local/share/ca-certificates/jmap-proxy.crt && sudo update-ca-certificates",
        "SSL_CERT_FILE='/my state/ca.pem'",
        "NODE_EXTRA_CA_CERTS='/my state/ca.pem'",
        "--cacert '/my state/ca.pem'",
        "mujmap has its own authorities built in",
    ],
)
def test_every_client_is_named(line: str) -> None:
    """What is told can be pasted into a shell."""
    assert line in trust("/my state/ca.pem")

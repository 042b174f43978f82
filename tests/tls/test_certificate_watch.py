import asyncio
import ssl
from pathlib import Path

import pytest
import structlog
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from jmap_proxy.errors import ConfigError, StoreError
from jmap_proxy.proxy.listener.listener import Listener
from jmap_proxy.tls.certificate_watch import INTERVAL, CertificateWatch
from jmap_proxy.tls.certificates import Issued, certificate_pem, issue, key_pem, make_authority
from tests.support.certificates import shake_hands
from tests.tls.test_certificates import NOW


class Server:
    """A server's certificate in files, its authority, and the watch."""

    def __init__(self, folder: Path) -> None:
        self.authority: Issued = make_authority([], NOW)
        self.cert_file, self.key_file = folder / "cert.pem", folder / "key.pem"
        self.serial = self.change()
        ca_file = folder / "ca.pem"
        ca_file.write_bytes(certificate_pem(self.authority.certificate))
        self.client = ssl.create_default_context(cafile=ca_file)

    def change(self) -> str:
        """Write another certificate and its key; the certificate's serial number, as a client sees it."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = issue(self.authority, key, [], NOW)
        self.key_file.write_bytes(key_pem(key))
        self.cert_file.write_bytes(certificate_pem(leaf))
        return f"{leaf.serial_number:X}"

    def shown(self, watch: CertificateWatch) -> str:
        """The serial number that a client sees now."""
        certificate = shake_hands(self.client, watch.context, "localhost").getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"]).lstrip("0")


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """Give a server."""
    return Server(tmp_path)


async def test_a_new_certificate_is_shown(server: Server) -> None:
    """As certbot, or `jmap-proxy cert`, writes it while we serve."""
    watch = CertificateWatch(str(server.cert_file), str(server.key_file))
    await watch.look()
    assert server.shown(watch) == server.serial
    new = server.change()
    assert server.shown(watch) == server.serial
    await watch.look()
    assert server.shown(watch) == new


async def test_open_connections_outlive_the_change(server: Server) -> None:
    """A running listener shows the new certificate to the next connection, and cuts none."""

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="here")

    watch = CertificateWatch(str(server.cert_file), str(server.key_file))
    listener = Listener(answer, tls=watch.context, patience=0)
    port = int((await listener.open("127.0.0.1", 0)).rpartition(":")[2])
    connections = [await asyncio.open_connection("localhost", port, ssl=server.client)]
    new = server.change()
    await watch.look()
    connections.append(await asyncio.open_connection("localhost", port, ssl=server.client))
    shown = []
    for reader, writer in connections:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"here")
        shown.append(writer.get_extra_info("peercert")["serialNumber"].lstrip("0"))
        writer.close()
        await writer.wait_closed()
    assert shown == [server.serial, new]
    await listener.close()


async def test_it_is_renewed_before_the_look(server: Server) -> None:
    """So that a renewal is shown at once."""
    renewed: list[str] = []
    watch = CertificateWatch(str(server.cert_file), str(server.key_file), lambda: renewed.append(server.change()))
    await watch.look()
    assert [server.shown(watch)] == renewed


async def test_half_a_pair_is_not_shown(server: Server) -> None:
    """What was shown before is, until the pair is whole."""
    watch = CertificateWatch(str(server.cert_file), str(server.key_file))
    old_key = server.key_file.read_bytes()
    new = server.change()
    new_key = server.key_file.read_bytes()
    server.key_file.write_bytes(old_key)
    with structlog.testing.capture_logs() as logs:
        await watch.look()
    assert [each["log_level"] for each in logs] == ["warning"]
    assert server.shown(watch) == server.serial
    server.key_file.write_bytes(new_key)
    await watch.look()
    assert server.shown(watch) == new


async def test_a_failing_renewal_is_told_once(server: Server) -> None:
    """With the hint that mends it; again only after it has worked meanwhile."""
    failing = True

    def renew() -> None:
        if failing:
            raise StoreError("the folder is read-only", hint="mend it")

    watch = CertificateWatch(str(server.cert_file), str(server.key_file), renew)
    with structlog.testing.capture_logs() as logs:
        for failing in (True, True, False, True):  # noqa: B007 - what `renew` sees
            await watch.look()
    assert [each["hint"] for each in logs] == ["mend it", "mend it"]
    assert server.shown(watch) == server.serial


async def test_it_looks_again_and_again(server: Server) -> None:
    """At its interval, by the clock that it is given."""
    asked: list[float] = []
    rounds, looked = asyncio.Queue[None](), asyncio.Queue[None]()
    loop = asyncio.get_running_loop()

    async def sleep(seconds: float) -> None:
        asked.append(seconds)
        await rounds.get()

    def renew() -> None:
        loop.call_soon_threadsafe(looked.put_nowait, None)

    running = asyncio.create_task(
        CertificateWatch(str(server.cert_file), str(server.key_file), renew, sleep=sleep).run()
    )
    for _ in range(3):
        rounds.put_nowait(None)
        await looked.get()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert set(asked) == {INTERVAL}


@pytest.mark.parametrize("name", ["/none", "a\0b", "~no-such-user/cert.pem"])
def test_files_that_cannot_be_used_are_told_at_once(name: str) -> None:
    """Before anything is served."""
    with pytest.raises(ConfigError, match=r"listen\.cert_file"):
        CertificateWatch(name, name)


async def test_other_files_are_followed(server: Server, tmp_path: Path) -> None:
    """By the same context, so that the listener need not be opened anew; files that are not good change nothing."""
    (tmp_path / "other").mkdir()
    other = Server(tmp_path / "other")
    watch = CertificateWatch(str(server.cert_file), str(server.key_file))
    with pytest.raises(ConfigError):
        watch.follow(str(other.cert_file), str(server.key_file), lambda: None)
    assert server.shown(watch) == server.serial
    new = server.change()
    await watch.look()
    assert server.shown(watch) == new
    watch.follow(str(other.cert_file), str(other.key_file), lambda: None)
    assert other.shown(watch) == other.serial
    server.change()
    other.change()
    await watch.look()
    assert other.shown(watch) != other.serial

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING

import pytest
import structlog

from jmap_proxy.cli.certificate import ServedCertificate, Source
from jmap_proxy.config import Listen
from jmap_proxy.errors import ConfigError
from jmap_proxy.tls.certificate_folder import CertificateFolder
from jmap_proxy.tokens.keychain import Keychain, key_places
from tests.support.certificates import private_authority, shake_hands

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> CertificateFolder:
    """Give the folder of a local authority that was made."""
    folder = CertificateFolder(tmp_path / "tls", Keychain(tmp_path, key_places(tmp_path, {}), "file"), time.time)
    folder.make([])
    return folder


def users(tmp_path: Path) -> tuple[ssl.SSLContext, Listen]:
    """A certificate of the user's own: what trusts it, and the configuration that names it."""
    ca_file, _ = private_authority(tmp_path)
    leaf = str(tmp_path / "leaf.pem")
    return ssl.create_default_context(cafile=ca_file), Listen(cert_file=leaf, key_file=leaf)


def test_where_it_comes_from(folder: CertificateFolder) -> None:
    """The user's own files count, whatever the names; ours are renewed for the names."""
    named = Listen(cert_file="c", key_file="k", hosts=("mail.lan",))
    assert Source.of(named, folder).is_same(Source.of(Listen(cert_file="c", key_file="k"), folder))
    assert not Source.of(named, folder).is_same(Source.of(Listen(), folder))
    assert not Source.of(Listen(hosts=("mail.lan",)), folder).is_same(Source.of(Listen(), folder))
    assert Source.of(Listen(), folder).cert_file == str(folder.certificate_file)


async def test_one_context_shows_what_is_configured(folder: CertificateFolder, tmp_path: Path) -> None:
    """The one of before until the next one is taken; off and on again it is another context."""
    ours = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.pem")
    theirs, listen = users(tmp_path)
    certificate = ServedCertificate(folder)
    certificate.take(await certificate.prepare(Listen()))
    prepared = await certificate.prepare(listen)
    context = prepared[1].context
    shake_hands(ours, context, "localhost")
    certificate.take(prepared)
    shake_hands(theirs, context, "127.0.0.1")
    assert (await certificate.prepare(listen)) == prepared
    certificate.take(None)
    assert (await certificate.prepare(listen))[1].context is not context
    certificate.close()


async def test_one_that_cannot_be_shown_changes_nothing(folder: CertificateFolder, tmp_path: Path) -> None:
    """Whether that is found at first, or only when it is taken: then the log says so."""
    ours = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.pem")
    certificate = ServedCertificate(folder)
    certificate.take(await certificate.prepare(Listen()))
    with pytest.raises(ConfigError, match=r"listen\.cert_file"):
        await certificate.prepare(Listen(cert_file="/none", key_file="/none"))
    _, listen = users(tmp_path)
    prepared = await certificate.prepare(listen)
    (tmp_path / "leaf.pem").unlink()
    with structlog.testing.capture_logs() as logs:
        certificate.take(prepared)
    assert [each["event"] for each in logs] == ["the certificate cannot be shown"]
    shake_hands(ours, prepared[1].context, "localhost")
    certificate.close()

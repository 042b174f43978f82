"""The parts, each started once for all tests, in a folder that is removed at the end."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.certificate import Certificate
from tests.e2e.cyrus import Cyrus
from tests.e2e.mail import messages
from tests.e2e.mail_client import MailClient
from tests.e2e.program import Program
from tests.e2e.provider import Provider
from tests.e2e.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

TOKEN_LIFE = 5  # seconds


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """For all files of this run: in /tmp, where the user `cyrus` can enter and socket paths stay short."""
    made = Path(tempfile.mkdtemp(prefix="jmap-proxy-e2e-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def provider(folder: Path) -> Iterator[Provider]:
    """The OpenID Provider."""
    with Provider(folder, token_life=TOKEN_LIFE) as running:
        yield running


@pytest.fixture(scope="session")
def cyrus(folder: Path, provider: Provider) -> Iterator[Cyrus]:
    """The JMAP server, with mail."""
    with Cyrus(folder, key=provider.public_key, token_life=TOKEN_LIFE) as running:
        running.deliver("INBOX", messages())
        yield running


@pytest.fixture(scope="session")
def certificate(folder: Path) -> Certificate:
    """For the proxy's https."""
    return Certificate(folder / "tls")


@pytest.fixture(scope="session")
def proxy(folder: Path, provider: Provider, cyrus: Cyrus, certificate: Certificate) -> Iterator[Proxy]:
    """The proxy, signed in."""
    home = folder / "proxy"
    home.mkdir(mode=0o700)
    with Proxy(home, server=cyrus.url, issuer=provider.issuer, certificate=certificate) as running:
        yield running


@pytest.fixture
def mail_client(folder: Path, proxy: Proxy, certificate: Certificate) -> Callable[[str], MailClient]:
    """Makes a client by its name."""
    return lambda name: MailClient(name, proxy=proxy, certificate=certificate, folder=folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the parts said beside a failure."""
    report = yield
    if report.failed:
        for part in item.funcargs.values():
            program = getattr(part, "program", None)
            if isinstance(program, Program):
                report.sections.append((f"what {program.name} said", program.said()))
            if isinstance(part, Cyrus):
                report.sections.append(("what cyrus said to syslog", part.said()))
    return report

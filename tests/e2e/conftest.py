"""The parts, each started once for all tests, in a folder that is removed at the end."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.certificate import Certificate
from tests.e2e.cyrus import Cyrus
from tests.e2e.mail import MAILBOXES, SUBJECTS, messages
from tests.e2e.mail_client import MailClient
from tests.e2e.place import Place
from tests.e2e.program import Program
from tests.e2e.provider import Provider
from tests.e2e.proxy import Proxy
from tests.e2e.sandbox import Sandbox

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
    """The proxy in front of the real server, signed in."""
    with _proxy(folder / "proxy", cyrus.url, provider, certificate) as running:
        yield running


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The sandbox's provider and mail server."""
    with Sandbox(token_life=TOKEN_LIFE) as running:
        yield running


@pytest.fixture(scope="session")
def sandbox_proxy(folder: Path, sandbox: Sandbox, certificate: Certificate) -> Iterator[Proxy]:
    """A proxy in front of the sandbox, signed in."""
    with _proxy(folder / "sandbox-proxy", sandbox.url, sandbox, certificate) as running:
        yield running


def _proxy(home: Path, server: str, provider: Provider | Sandbox, certificate: Certificate) -> Proxy:
    home.mkdir(mode=0o700)
    known_as = {"issuer": provider.issuer, "client_id": provider.client_id}
    return Proxy(home, server=server, **known_as, scopes=provider.scopes, certificate=certificate)


@pytest.fixture(params=["cyrus", "sandbox"])
def place(request: pytest.FixtureRequest) -> Place:
    """One mail server after the other, and the proxy in front of it."""
    if request.param == "cyrus":
        cyrus: Cyrus = request.getfixturevalue("cyrus")
        return Place(request.getfixturevalue("proxy"), cyrus.change, MAILBOXES, SUBJECTS)
    sandbox: Sandbox = request.getfixturevalue("sandbox")
    return Place(request.getfixturevalue("sandbox_proxy"), sandbox.change, sandbox.mailboxes, sandbox.subjects)


@pytest.fixture
def mail_client(folder: Path, proxy: Proxy, certificate: Certificate) -> Callable[[str], MailClient]:
    """Makes a client of the real server by its name."""
    return lambda name: MailClient(name, proxy=proxy, certificate=certificate, folder=folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the parts said beside a failure."""
    report = yield
    if report.failed:
        parts = [each.proxy if isinstance(each, Place) else each for each in item.funcargs.values()]
        for part in parts:
            program = getattr(part, "program", None)
            if isinstance(program, Program):
                report.sections.append((f"what {program.name} said", program.said()))
            if isinstance(part, Cyrus):
                report.sections.append(("what cyrus said to syslog", part.said()))
    return report

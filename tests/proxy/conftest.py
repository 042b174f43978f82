"""What the proxy's tests share: the sandbox's mail server and a proxy in front of it."""

from collections.abc import AsyncIterator

import pytest

from jmap_proxy.sandbox import MailServer
from tests.proxy.support import Proxy, Tokens, proxy_to


@pytest.fixture
async def mail() -> AsyncIterator[MailServer]:
    """Give a mail server that takes the tokens `good` and `better`."""
    async with MailServer({"good": "demo", "better": "demo"}.get) as server:
        yield server


@pytest.fixture
def tokens() -> Tokens:
    """Return a source that gives `good`, and `better` once that was rejected."""
    return Tokens("good", "better")


@pytest.fixture
async def proxy(mail: MailServer, tokens: Tokens) -> AsyncIterator[Proxy]:
    """Give a proxy in front of the mail server."""
    async with proxy_to(mail.session_url, tokens) as running:
        yield running

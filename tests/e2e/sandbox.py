"""The sandbox's provider and mail server, for the same clients that talk to the real ones."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self, TypeVar

from jmap_proxy.sandbox import IdentityProvider, MailServer, ProviderSettings
from jmap_proxy.sandbox.messages import mailboxes, messages

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")
_PATIENCE = 20.0


class Sandbox:
    """Both servers, on an event loop in a thread of their own.

    Args:
        token_life: Seconds that an access token lives.
    """

    scopes = ("openid", "offline_access", "urn:ietf:params:oauth:scope:mail")

    def __init__(self, *, token_life: int) -> None:
        settings = ProviderSettings(access_token_life=token_life)
        self.client_id = settings.client_id
        self._provider = IdentityProvider(settings=settings)
        self._mail = MailServer(self._provider.check)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._running = AsyncExitStack()

    def __enter__(self) -> Self:
        self._thread.start()
        self._await(self._start())
        return self

    def __exit__(self, *_exc: object) -> None:
        self._await(self._running.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Base URL of the mail server."""
        return self._mail.base_url

    @property
    def issuer(self) -> str:
        """The provider's."""
        return self._provider.issuer

    @property
    def mailboxes(self) -> list[str]:
        """Names of all mailboxes."""
        return sorted(mailbox["name"] for mailbox in mailboxes(self._mail.settings.message_count))

    @property
    def subjects(self) -> list[str]:
        """Subjects of the messages in the inbox."""
        there = [message.letter for message in messages(self._mail.settings.message_count)]
        return [letter.subject for letter in there if letter.role == "inbox"]

    def change(self) -> None:
        """Lets mail change at the server: its clients hear of it by push alone."""
        self._loop.call_soon_threadsafe(self._mail.push_state)

    async def _start(self) -> None:
        await self._running.enter_async_context(self._provider)
        await self._running.enter_async_context(self._mail)

    def _await(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE)

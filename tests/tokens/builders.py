"""What the token tests are made of: a store in memory, a scripted provider."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from jmap_proxy.errors import StoreError
from jmap_proxy.tokens import TokenRefresher, TokenSet, create_token_refresher
from jmap_proxy.tokens.journal import Attempt, Replay
from jmap_proxy.tokens.losses import Loss
from jmap_proxy.tokens.outcome import Outcome, Refreshed
from jmap_proxy.tokens.refusal import Refusal
from tests.support.clock import Clock

NOW = 1_800_000_000.0
HOUR = 3600.0


def token_set(generation: int = 1, *, life: float = HOUR, **changes: Any) -> TokenSet:
    """Return alice's tokens of that generation, obtained now."""
    tokens = TokenSet(
        account="alice",
        issuer="https://sso.example.com",
        client_id="jmap-proxy",
        access_token=f"access-{generation}",
        refresh_token="refresh-1",
        sign_in_id="first",
        generation=generation,
        obtained_at=NOW,
        expires_at=NOW + life,
    )
    return msgspec.structs.replace(tokens, **changes)


def refreshed(generation: int, *, life: float = HOUR, rotated: str = "") -> Refreshed:
    """Return the provider's good answer with the access token of that generation."""
    return Refreshed(access_token=f"access-{generation}", refresh_token=rotated, life=life)


def renamed(path: Path, name: str) -> Path:
    """Give the file or folder another name; the path by that name."""
    return path.rename(path.with_name(name))


class MemoryStore:
    """A token store in memory that writes down what is asked of it, and fails when it is told to."""

    def __init__(self, tokens: TokenSet | None) -> None:
        self.tokens = tokens
        self.events: list[str] = []
        self.saved = asyncio.Event()
        self.load_error: StoreError | None = None
        self.save_error: Exception | None = None
        self.open_attempt: Attempt | None = None
        self.known_losses: list[Loss] = []
        self.known_refusal: Refusal | None = None
        self._lock = asyncio.Lock()

    async def load(self) -> TokenSet | None:
        """Return the tokens."""
        self.events.append("load")
        if self.load_error is not None:
            raise self.load_error
        return self.tokens

    async def save(self, tokens: TokenSet) -> None:
        """Take the tokens; it takes a moment, as a disk does."""
        await asyncio.sleep(0)
        if self.save_error is not None:
            raise self.save_error
        self.tokens = tokens
        self.saved.set()
        self.events.append(f"saved {tokens.generation}")

    async def attempt(self) -> Attempt | None:
        """Return the open attempt."""
        return self.open_attempt

    async def begin_attempt(self, attempt: Attempt) -> None:
        """Note an attempt."""
        self.events.append(f"asking {attempt.generation}")
        if self.save_error is not None:
            raise StoreError("disk full")
        self.open_attempt = attempt

    async def end_attempt(self) -> None:
        """Forget the attempt."""
        self.open_attempt = None

    async def losses(self) -> list[Loss]:
        """Return the losses."""
        return self.known_losses

    async def note_loss(self, loss: Loss) -> list[Loss]:
        """Note a loss."""
        self.known_losses.append(loss)
        return self.known_losses

    async def refusal(self) -> Refusal | None:
        """Return the refusal."""
        return self.known_refusal

    async def note_refusal(self, refusal: Refusal) -> None:
        """Note a refusal."""
        self.known_refusal = refusal

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Exclude the other users of this store."""
        async with self._lock:
            self.events.append("lock")
            yield
            self.events.append("unlock")


class Provider:
    """A token endpoint that gives the scripted answers in turn, and the last one for ever.

    Attributes:
        asked: The refresh tokens that it was asked with.
        called: Set once it has been asked.
        gate: While it is not set, no answer is given.
        meanwhile: Called while the answer is on its way.
    """

    def __init__(self, *outcomes: Outcome | Exception) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[str] = []
        self.called = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.meanwhile: Callable[[], None] = lambda: None

    async def __call__(self, tokens: TokenSet) -> Outcome:
        """Answer."""
        self.asked.append(tokens.refresh_token)
        self.called.set()
        await self.gate.wait()
        self.meanwhile()
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@dataclass
class Bench:
    """A refresher and everything it works with."""

    clock: Clock
    store: MemoryStore
    provider: Provider
    refresher: TokenRefresher

    def pass_time(self, seconds: float) -> None:
        """Set the clock on."""
        self.clock.now += seconds

    def expire(self) -> None:
        """Set the clock to just behind the end of the stored token."""
        assert self.store.tokens is not None
        self.clock.now = self.store.tokens.expires_at + 0.1

    async def token(self) -> str:
        """Return what a request gets."""
        return await self.refresher.ensure_valid_token()


async def make_bench(
    stored: TokenSet | None,
    *outcomes: Outcome | Exception,
    patience: float = 4.0,
    load_error: StoreError | None = None,
    replay: Replay = "strict",
) -> Bench:
    """Return a started refresher over a store with these tokens and a provider with these answers."""
    clock, store, provider = Clock(), MemoryStore(stored), Provider(*(outcomes or (refreshed(2),)))
    store.load_error = load_error
    refresher = await create_token_refresher(
        "alice", store, provider, clock=clock, jitter=lambda: 0.0, patience=patience, replay=replay
    )
    return Bench(clock, store, provider, refresher)

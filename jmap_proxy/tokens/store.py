"""The token store: one encrypted file an account, with a lock file beside it.

The lock is held over read → network → write, so that several processes never spend each other's refresh token. It
stands in a file of its own: the token file is replaced by rename, and a lock on a replaced file locks nothing. A
holder that dies frees it (flock(2)). What cannot be read is never overwritten.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote

import msgspec
import structlog

from jmap_proxy import files
from jmap_proxy.errors import StoreError
from jmap_proxy.locks import async_file_lock
from jmap_proxy.tokens.envelope import EnvelopeError, NewerFormError, key_id_of, seal, unseal
from jmap_proxy.tokens.journal import Attempt, read_attempt
from jmap_proxy.tokens.losses import Loss, with_loss
from jmap_proxy.tokens.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from jmap_proxy.tokens.keychain import DataKeys
    from jmap_proxy.tokens.tokenset import TokenSet

_T = TypeVar("_T")

PREVIOUS = ".previous"
"""Ends the name of the file with the generation before the last; that one is proven when it has been renewed."""

DAMAGED = ".damaged"
"""Ends the name of a damaged token file that was set aside."""

REFUSED = ".refused"
"""Ends the name of the file that says that a sign-in is gone, and why."""

LOSSES_KEPT = 10
"""Lost sign-ins of an account that are remembered."""

LOCK_PATIENCE = 60.0
"""Seconds to wait for another process that is refreshing; longer than its requests for metadata and tokens take."""

LONGEST_NAME = 120
"""Characters of an account's quoted name that stand in its file's name; file systems take 255 in all."""

log = structlog.get_logger("jmap_proxy.tokens")


class TokenStore(Protocol):
    """What a refresher needs of a store, for one account."""

    async def load(self) -> TokenSet | None:
        """The stored tokens, None if the account is not signed in. Raises StoreError."""

    async def save(self, tokens: TokenSet) -> None:
        """Store the tokens; durable when it returns. Raises StoreError."""

    async def attempt(self) -> Attempt | None:
        """The latest refresh whose outcome may be open, None if there is none. Raises StoreError."""

    async def begin_attempt(self, attempt: Attempt) -> None:
        """Note that the provider is about to be asked; durable when it returns. Raises StoreError."""

    async def end_attempt(self) -> None:
        """The outcome is known, and nothing was spent. Raises StoreError."""

    async def losses(self) -> list[Loss]:
        """The losses that are known, the oldest first. Raises StoreError."""

    async def note_loss(self, loss: Loss) -> list[Loss]:
        """Note that a sign-in was lost; all losses that are known, the oldest first. Raises StoreError."""

    async def refusal(self) -> Refusal | None:
        """The provider's last definite no, None if there is none. Raises StoreError."""

    async def note_refusal(self, refusal: Refusal) -> None:
        """Note a definite no for whoever starts later. Raises StoreError."""

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Held over read → network → write, against other processes. Raises StoreError."""


def token_file(folder: Path, account: str) -> Path:
    """The file of an account; no account name can point out of the folder, and no two share a file."""
    name = quote(account, safe="@+")
    if len(name) > LONGEST_NAME:  # "=" stands in no quoted name
        name = f"{name[:LONGEST_NAME]}={hashlib.sha256(account.encode()).hexdigest()}"
    return folder / f"{name}.jwe"


def read_tokens(folder: Path, account: str, keys: DataKeys) -> TokenSet | None:
    """The account's tokens, None if there are none. Blocks.

    A damaged file is stood in for by the previous generation where the provider keeps its refresh tokens, so that the
    previous one is the present one too. Elsewhere it is spent: to send it would cost the whole sign-in.

    Raises:
        StoreError: the file is unreadable, open to others, damaged or another account's; it is left as it is.
    """
    path = token_file(folder, account)
    try:
        return _read_file(path, account, keys)
    except DamagedError as damaged:
        previous = None
        with contextlib.suppress(StoreError):
            previous = _read_file(path.with_suffix(PREVIOUS), account, keys)
        if previous is None or previous.rotation != "no":
            raise
        log.error("token file damaged, the previous one is used", account=account, error=damaged.detail)
        return previous


def write_tokens(folder: Path, tokens: TokenSet, keys: DataKeys, *, over_damaged: bool = False) -> None:
    """Store the tokens durably; what was there is kept as the previous generation. Blocks.

    Args:
        folder: Of the token files.
        tokens: The tokens.
        keys: Where the data key comes from.
        over_damaged: They come from those that stood in the file before it was damaged. It is set aside then.

    Raises:
        StoreError: it cannot be written, or what is there cannot be read and so is not overwritten.
    """
    files.private_folder(folder)
    path = token_file(folder, tokens.account)
    try:
        read_tokens(folder, tokens.account, keys)
    except DamagedError:
        if not over_damaged or not _follows_on(path.with_suffix(PREVIOUS), tokens, keys):
            raise
    try:
        stored = _read_file(path, tokens.account, keys)
        if stored is not None and stored.sign_in_id == tokens.sign_in_id:
            files.copy_durably(path, path.with_suffix(PREVIOUS))
        else:
            files.remove_durably(path.with_suffix(PREVIOUS))  # it may be another user's
    except DamagedError as damaged:
        files.copy_durably(path, path.with_suffix(DAMAGED))
        log.error("token file damaged, it is set aside and written anew", account=tokens.account, error=damaged.detail)
    key = keys.current()
    files.write_durably(path, seal(tokens, key))
    if (latest := keys.current()) != key:  # a rekey has gone by between the two
        files.write_durably(path, seal(tokens, latest))


def _follows_on(previous: Path, tokens: TokenSet, keys: DataKeys) -> bool:
    """Whether nothing says that the damaged file was of another sign-in than these tokens."""
    try:
        before = _read_file(previous, tokens.account, keys)
    except StoreError:
        return True
    return before is None or before.sign_in_id == tokens.sign_in_id


def _read_file(path: Path, account: str, keys: DataKeys) -> TokenSet | None:
    data = files.read_private(path)
    if data is None:
        return None
    hint = f"move {path} away, then run: jmap-proxy login {account}"
    try:
        key = keys.find(key_id_of(data))
        if key is None:
            raise StoreError(
                f"{path} cannot be read: its data key {key_id_of(data)} is missing ({keys.describe()})",
                hint="restore the data key, or move the token file away and sign in again",
            )
        tokens = unseal(data, key)
    except NewerFormError as error:
        raise StoreError(f"{path}: {error}", hint=f"use the newer program, or {hint}") from None
    except EnvelopeError as error:
        raise DamagedError(f"{path}: {error}", hint=hint) from None
    if tokens.account != account:
        raise StoreError(f"{path}: it holds the tokens of account {tokens.account!r}", hint=hint)
    return tokens


class DamagedError(StoreError):
    """A token file that cannot be understood."""


async def load_tokens(folder: Path, account: str, keys: DataKeys) -> TokenSet | None:
    """`read_tokens`, off the event loop."""
    return await asyncio.to_thread(read_tokens, folder, account, keys)


async def save_tokens(folder: Path, tokens: TokenSet, keys: DataKeys, *, over_damaged: bool = False) -> None:
    """`write_tokens`, off the event loop: durable when it returns, also if the caller is cancelled meanwhile."""
    await asyncio.to_thread(write_tokens, folder, tokens, keys, over_damaged=over_damaged)


class FileTokenStore:
    """The store of one account: a file in `folder`, encrypted with the key from `keys`.

    Args:
        folder: Of the token files and their locks.
        account: Name of the account.
        keys: Where the data key comes from.
        lock_patience: Seconds to wait for another process that holds the lock.
    """

    def __init__(self, folder: Path, account: str, keys: DataKeys, *, lock_patience: float = LOCK_PATIENCE) -> None:
        self._folder = folder
        self._account = account
        self._keys = keys
        self._lock_patience = lock_patience
        self._sign_in_id = ""

    @property
    def path(self) -> Path:
        """The account's token file."""
        return token_file(self._folder, self._account)

    async def load(self) -> TokenSet | None:
        """See `load_tokens`; a file that is gone together with its folder is not taken for a sign-out."""
        tokens = await load_tokens(self._folder, self._account, self._keys)
        if tokens is None:
            await asyncio.to_thread(self._check_folder)
        self._sign_in_id = tokens.sign_in_id if tokens is not None else ""
        return tokens

    async def save(self, tokens: TokenSet) -> None:
        """See `save_tokens`. A damaged file makes room for tokens of the sign-in that was stored there before."""
        await asyncio.to_thread(self._check_folder)
        over_damaged = tokens.sign_in_id == self._sign_in_id
        await save_tokens(self._folder, tokens, self._keys, over_damaged=over_damaged)
        self._sign_in_id = tokens.sign_in_id

    async def attempt(self) -> Attempt | None:
        """See `TokenStore`; a note that cannot be understood counts as none."""
        raw = await asyncio.to_thread(files.read_private, self._beside(".attempt"))
        return None if raw is None else read_attempt(raw)

    async def begin_attempt(self, attempt: Attempt) -> None:
        """See `TokenStore`."""
        await asyncio.to_thread(files.write_durably, self._beside(".attempt"), msgspec.json.encode(attempt) + b"\n")

    async def end_attempt(self) -> None:
        """See `TokenStore`."""
        await asyncio.to_thread(files.remove_durably, self._beside(".attempt"))

    async def losses(self) -> list[Loss]:
        """See `TokenStore`; a list that cannot be understood counts as none."""
        raw = await asyncio.to_thread(files.read_private, self._beside(".losses"))
        return (_parsed(raw, list[Loss]) if raw is not None else None) or []

    async def note_loss(self, loss: Loss) -> list[Loss]:
        """See `TokenStore`; a list that cannot be understood is begun anew."""
        known = with_loss(await self.losses(), loss)[-LOSSES_KEPT:]
        await asyncio.to_thread(files.write_durably, self._beside(".losses"), msgspec.json.encode(known) + b"\n")
        return known

    async def refusal(self) -> Refusal | None:
        """See `TokenStore`; a note that cannot be understood counts as none."""
        raw = await asyncio.to_thread(files.read_private, self._beside(REFUSED))
        return _parsed(raw, Refusal) if raw is not None else None

    async def note_refusal(self, refusal: Refusal) -> None:
        """See `TokenStore`."""
        await asyncio.to_thread(files.write_durably, self._beside(REFUSED), msgspec.json.encode(refusal) + b"\n")

    async def first_to_tell(self, sign_in_id: str) -> bool:
        """Note that the user is told of the loss of that sign-in; False if somebody else has told them already.

        Raises:
            StoreError: it cannot be noted.
        """
        path, note = self._beside(".told"), sign_in_id.encode() + b"\n"
        async with self.lock():
            if await asyncio.to_thread(files.read_private, path) == note:
                return False
            await asyncio.to_thread(files.write_durably, path, note)
        return True

    async def remove(self) -> bool:
        """Forget the account's tokens; whether there were any. Raises StoreError."""
        await self.end_attempt()
        for suffix in (PREVIOUS, DAMAGED, REFUSED, ".told"):
            await asyncio.to_thread(files.remove_durably, self._beside(suffix))
        self._sign_in_id = ""
        return await asyncio.to_thread(files.remove_durably, self.path)

    @asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold the account's lock file.

        Raises:
            StoreError: another process has held it for `lock_patience` seconds, it cannot be made, or the folder with
                the tokens has gone.
        """
        await asyncio.to_thread(self._check_folder)
        await asyncio.to_thread(files.private_folder, self._folder)
        async with async_file_lock(self.path.with_suffix(".lock"), self._lock_patience):
            yield

    def _check_folder(self) -> None:
        """See that the folder is there if tokens were read from it: one made anew would hide that it is not mounted."""
        if self._sign_in_id and not self._folder.exists():
            raise StoreError(f"{self._folder} is not there any more", hint="see that its disk is mounted")

    def _beside(self, suffix: str) -> Path:
        return self.path.with_suffix(suffix)


def _parsed(raw: bytes, form: type[_T]) -> _T | None:
    """A note of the program's own; None for one that it cannot understand."""
    try:
        return msgspec.json.decode(raw, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None

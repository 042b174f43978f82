"""The token's life: the store, the windows, the shared refresh. Knows nothing of HTTP."""

from jmap_proxy.tokens.refresher import TokenRefresher, create_token_refresher
from jmap_proxy.tokens.store import load_tokens, save_tokens
from jmap_proxy.tokens.tokenset import TokenSet
from jmap_proxy.tokens.window import TOKEN_EXPIRY_BUFFER

__all__ = [
    "TOKEN_EXPIRY_BUFFER",
    "TokenRefresher",
    "TokenSet",
    "create_token_refresher",
    "load_tokens",
    "save_tokens",
]

"""The base of all errors. What every one of them has is here, and no error of a kind."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Self


class JmapProxyError(Exception):
    """Base of all errors that the program raises on purpose.

    Args:
        detail: What went wrong, one sentence, without secrets.
        hint: What mends it; names the command or the config key.
        retry_after: Seconds after which another try makes sense, None where it does not by itself.
    """

    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1

    def __init__(self, detail: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.retry_after = retry_after

    def anew(self) -> Self:
        """The same error to be raised again: one object raised many times would collect every traceback."""
        twin = type(self).__new__(type(self), *self.args)
        vars(twin).update(vars(self))
        return twin

    def problem(self) -> dict[str, Any]:
        """The RFC 9457 problem details object that a client gets."""
        problem: dict[str, Any] = {
            "type": f"urn:jmap-proxy:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint:
            problem["hint"] = self.hint
        return problem

    def headers(self) -> dict[str, str]:
        """The header fields that belong to the answer (Retry-After in whole seconds, RFC 9110 §10.2.3)."""
        if self.retry_after is None:
            return {}
        return {"Retry-After": str(max(1, math.ceil(self.retry_after)))}


def unforeseen(error: Exception) -> JmapProxyError:
    """What the client is told of what nobody has foreseen: its kind alone, since its text may hold anything."""
    return JmapProxyError(f"unforeseen: {type(error).__name__}", hint="see the proxy's log")

"""The JMAP methods: Core/echo, Mailbox/get, Email/query and Email/get (RFC 8620 §4, RFC 8621 §2 and §4).

Pure functions from a call's arguments to its result. The envelope around calls belongs to `jmap_request`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jmap_proxy.sandbox.messages import Message, mailboxes, messages
from jmap_proxy.sandbox.session_object import CORE, MAIL, MAX_OBJECTS

_STATE = "s1"
"""The state of every data type: the sandbox's mail never changes."""
_QUERY_LIMIT = 256
"""Ids in one answer of a query that names no lower limit."""


class MethodError(Exception):
    """A method call that fails (RFC 8620 §3.6.2).

    Args:
        kind: The error's type.
        description: What a developer should know.
    """

    def __init__(self, kind: str, description: str = "") -> None:
        super().__init__(f"{kind}: {description}")
        self.kind = kind
        self.description = description


@dataclass(frozen=True)
class Mail:
    """The mail that methods act on: one account's first messages."""

    account_id: str
    message_count: int


Arguments = dict[str, Any]
Method = Callable[[Arguments, Mail], dict[str, Any]]


def echo(arguments: Arguments, _mail: Mail) -> dict[str, Any]:
    """Core/echo: give the arguments back."""
    return arguments


def mailbox_get(arguments: Arguments, mail: Mail) -> dict[str, Any]:
    """Mailbox/get: all mailboxes, or those asked for."""
    return _get(arguments, mail, mailboxes(mail.message_count))


def email_get(arguments: Arguments, mail: Mail) -> dict[str, Any]:
    """Email/get: the messages asked for. Body values come only if a `fetch…BodyValues` argument is true."""
    emails = [message.email() for message in messages(mail.message_count)]
    wanted = ("fetchTextBodyValues", "fetchHTMLBodyValues", "fetchAllBodyValues")
    if not any(arguments.get(name) for name in wanted):
        emails = [{**email, "bodyValues": {}} for email in emails]
    return _get(arguments, mail, emails)


def email_query(arguments: Arguments, mail: Mail) -> dict[str, Any]:
    """Email/query: filter by `inMailbox` and `text`, sort by `receivedAt`, newest first by default."""
    _check_account(arguments, mail)
    found = [message for message in messages(mail.message_count) if _matches(message, arguments.get("filter"))]
    if not _is_ascending(arguments.get("sort")):
        found.reverse()
    position, limit = arguments.get("position", 0), arguments.get("limit", _QUERY_LIMIT)
    if not isinstance(position, int) or not isinstance(limit, int | None) or (limit or 0) < 0:
        raise MethodError("invalidArguments", "position and limit are integers")
    limit = _QUERY_LIMIT if limit is None else min(limit, _QUERY_LIMIT)
    start = max(0, len(found) + position) if position < 0 else position
    answer: dict[str, Any] = {
        "accountId": mail.account_id,
        "queryState": _STATE,
        "canCalculateChanges": False,
        "position": start,
        "ids": [message.id for message in found[start : start + limit]],
    }
    if arguments.get("calculateTotal"):
        answer["total"] = len(found)
    return answer


METHODS: dict[str, tuple[str, Method]] = {
    "Core/echo": (CORE, echo),
    "Mailbox/get": (MAIL, mailbox_get),
    "Email/query": (MAIL, email_query),
    "Email/get": (MAIL, email_get),
}
"""Each method, and the capability that a request must be `using` for it."""


def _check_account(arguments: Arguments, mail: Mail) -> None:
    if not isinstance(arguments.get("accountId"), str):
        raise MethodError("invalidArguments", "accountId is missing")
    if arguments["accountId"] != mail.account_id:
        raise MethodError("accountNotFound")


def _get(arguments: Arguments, mail: Mail, objects: list[dict[str, Any]]) -> dict[str, Any]:
    """The result of a standard /get (RFC 8620 §5.1)."""
    _check_account(arguments, mail)
    by_id = {item["id"]: item for item in objects}
    ids = _ids(arguments, list(by_id))
    known = [by_id[wanted] for wanted in ids if wanted in by_id]
    return {
        "accountId": mail.account_id,
        "state": _STATE,
        "list": [_selected(item, arguments.get("properties")) for item in known],
        "notFound": [wanted for wanted in ids if wanted not in by_id],
    }


def _ids(arguments: Arguments, every: list[str]) -> list[str]:
    """The ids to get, each once; all of them if none are named."""
    ids = arguments.get("ids")
    if ids is None:
        return every
    if not isinstance(ids, list) or not all(isinstance(wanted, str) for wanted in ids):
        raise MethodError("invalidArguments", "ids is an array of ids")
    if len(ids) > MAX_OBJECTS:
        raise MethodError("requestTooLarge")
    return list(dict.fromkeys(ids))


def _selected(item: dict[str, Any], properties: Any) -> dict[str, Any]:
    """The properties asked for; `id` always comes."""
    if properties is None:
        return item
    if not isinstance(properties, list) or not all(isinstance(name, str) and name in item for name in properties):
        raise MethodError("invalidArguments", "properties names something unknown")
    return {name: item[name] for name in dict.fromkeys(["id", *properties])}


def _matches(message: Message, condition: Any) -> bool:
    condition = {} if condition is None else condition
    if not isinstance(condition, dict) or not condition.keys() <= {"inMailbox", "text"}:
        raise MethodError("unsupportedFilter", "only inMailbox and text")
    mailbox_id, text = condition.get("inMailbox"), condition.get("text")
    return (mailbox_id is None or message.mailbox_id == mailbox_id) and (text is None or message.contains(str(text)))


def _is_ascending(sort: Any) -> bool:
    """Whether the oldest comes first; without a sort the newest does."""
    if not sort:
        return False
    if not isinstance(sort, list) or not isinstance(sort[0], dict) or sort[0].get("property") != "receivedAt":
        raise MethodError("unsupportedSort", "only receivedAt")
    return bool(sort[0].get("isAscending", True))

"""The JMAP request envelope: is it sound, and what do its calls answer (RFC 8620 §3). Pure functions.

Result references belong here, since they tie the calls of one request together; what a method does does not.
"""

from __future__ import annotations

import json
from typing import Any

from jmap_proxy.sandbox.jmap_methods import METHODS, Mail, MethodError
from jmap_proxy.sandbox.session_object import CAPABILITIES, MAX_CALLS

_CALL_PARTS = 3
"""A method call is name, arguments and call id."""


class RequestRefusedError(Exception):
    """A request that is refused as a whole (RFC 8620 §3.6.1).

    Args:
        kind: The last part of the problem's type.
        detail: What a developer should know.
        limit: The limit that was exceeded, for the kind `limit`.
        status: HTTP status.
    """

    def __init__(self, kind: str, detail: str, *, limit: str = "", status: int = 400) -> None:
        super().__init__(f"{kind}: {detail}")
        self.status = status
        self.problem: dict[str, Any] = {
            "type": f"urn:ietf:params:jmap:error:{kind}",
            "status": status,
            "detail": detail,
        }
        if limit:
            self.problem["limit"] = limit


def parsed(text: bytes | str) -> Any:
    """Parse JSON.

    Raises:
        RequestRefusedError: `notJSON`.
    """
    try:
        return json.loads(text)
    except ValueError:
        raise RequestRefusedError("notJSON", "the body is not JSON") from None


def answered(request: Any, mail: Mail, session_state: str) -> dict[str, Any]:
    """The Response to a Request (RFC 8620 §3.3, §3.4).

    Args:
        request: The parsed body.
        mail: What the methods act on.
        session_state: The Session's `state`.

    Raises:
        RequestRefusedError: The request as a whole is not sound.
    """
    using, calls = _checked(request)
    responses: list[list[Any]] = []
    for call in calls:
        responses.append(_called(call, using, mail, responses))
    response: dict[str, Any] = {"methodResponses": responses, "sessionState": session_state}
    if "createdIds" in request:
        response["createdIds"] = request["createdIds"]
    return response


def _checked(request: Any) -> tuple[frozenset[str], list[Any]]:
    if not isinstance(request, dict):
        raise RequestRefusedError("notRequest", "a Request is an object")
    using, calls = request.get("using"), request.get("methodCalls")
    if not isinstance(using, list) or not all(isinstance(name, str) for name in using):
        raise RequestRefusedError("notRequest", "using is an array of capabilities")
    if not isinstance(calls, list) or not all(_is_call(call) for call in calls):
        raise RequestRefusedError("notRequest", "methodCalls is an array of name, arguments and call id")
    unknown = [name for name in using if name not in CAPABILITIES]
    if unknown:
        raise RequestRefusedError("unknownCapability", f"{unknown[0]} is not known here")
    if len(calls) > MAX_CALLS:
        raise RequestRefusedError("limit", f"more than {MAX_CALLS} calls", limit="maxCallsInRequest")
    return frozenset(using), calls


def _is_call(call: Any) -> bool:
    if not isinstance(call, list) or len(call) != _CALL_PARTS:
        return False
    name, arguments, call_id = call
    return isinstance(name, str) and isinstance(arguments, dict) and isinstance(call_id, str)


def _called(call: list[Any], using: frozenset[str], mail: Mail, earlier: list[list[Any]]) -> list[Any]:
    """The response to one call."""
    name, arguments, call_id = call
    capability, method = METHODS.get(name, ("", None))
    try:
        if method is None or capability not in using:
            raise MethodError("unknownMethod", f"{name} is not known here")  # noqa: TRY301 - one way out for all
        return [name, method(resolved(arguments, earlier), mail), call_id]
    except ReferenceUnresolvedError as error:
        return ["error", {"type": "invalidResultReference", "description": str(error)}, call_id]
    except MethodError as error:
        return ["error", {"type": error.kind, "description": error.description}, call_id]


class ReferenceUnresolvedError(Exception):
    """A result reference that leads nowhere."""


def resolved(arguments: dict[str, Any], earlier: list[list[Any]]) -> dict[str, Any]:
    """A call's arguments with every `#name` replaced by what it refers to.

    Args:
        arguments: The call's arguments.
        earlier: The responses so far: name, result, call id.

    Raises:
        ReferenceUnresolvedError: A reference leads nowhere.
    """
    return {
        name.removeprefix("#"): _looked_up(value, earlier) if name.startswith("#") else value
        for name, value in arguments.items()
    }


def _looked_up(reference: Any, earlier: list[list[Any]]) -> Any:
    if not isinstance(reference, dict):
        raise ReferenceUnresolvedError("a result reference is an object")
    for name, result, call_id in earlier:
        if call_id == reference.get("resultOf") and name == reference.get("name"):
            return _pointed(result, str(reference.get("path", "")).split("/")[1:])
    raise ReferenceUnresolvedError("no earlier call has this id and name")


def _pointed(value: Any, path: list[str]) -> Any:
    """Follow a JSON pointer in which `*` maps over an array, flattening one level."""
    for index, raw in enumerate(path):
        key = raw.replace("~1", "/").replace("~0", "~")
        if key == "*" and isinstance(value, list):
            return _flat([_pointed(item, path[index + 1 :]) for item in value])
        value = _member(value, key)
    return value


def _member(value: Any, key: str) -> Any:
    if isinstance(value, dict) and key in value:
        return value[key]
    if isinstance(value, list) and key.isdigit() and int(key) < len(value):
        return value[int(key)]
    raise ReferenceUnresolvedError(f"there is nothing at {key!r}")


def _flat(items: list[Any]) -> list[Any]:
    flat: list[Any] = []
    for item in items:
        flat.extend(item if isinstance(item, list) else [item])
    return flat

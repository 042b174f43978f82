"""Which endpoint a request means, read from its raw path. A pure function.

The raw path counts, because what a client or a proxy does to it is what tests want to see: an escaped slash
stays inside its segment, and no segment is lost.
"""

from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import hdrs


@dataclass(frozen=True)
class Target:
    """An endpoint and what the path says.

    Attributes:
        place: `well-known`, `session`, `api`, `upload`, `download`, `events` or `websocket`.
        method: The one HTTP method of the endpoint.
        account_id: For uploads and downloads.
        blob_id: For downloads.
    """

    place: str
    method: str = hdrs.METH_GET
    account_id: str = ""
    blob_id: str = ""


_FIXED = {
    "/.well-known/jmap": Target("well-known"),
    "/jmap/session": Target("session"),
    "/jmap/api": Target("api", hdrs.METH_POST),
    "/jmap/events": Target("events"),
    "/jmap/ws": Target("websocket"),
}


def target_of(raw_path: str) -> Target | None:
    """Return the endpoint of a raw path, None if there is none. A slash at the end makes no difference."""
    path = raw_path.partition("?")[0]
    match [unquote(segment) for segment in path.split("/")]:
        case ["", "jmap", "upload", account_id] | ["", "jmap", "upload", account_id, ""]:
            return Target("upload", hdrs.METH_POST, account_id)
        case ["", "jmap", "download", account_id, blob_id, *_]:
            return Target("download", hdrs.METH_GET, account_id, blob_id)
        case _:
            return _FIXED.get(path.removesuffix("/"))

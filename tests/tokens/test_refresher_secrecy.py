import io

import pytest
from rich.console import Console
from structlog.testing import capture_logs

from jmap_proxy.errors import JmapProxyError, StoreError
from jmap_proxy.tokens.outcome import Outcome, Rejected, Transient
from tests.tokens.builders import Bench, make_bench, refreshed, token_set

SECRETS = ("access-", "refresh-")
STORIES: list[Outcome | Exception] = [
    refreshed(2, rotated="refresh-2"),
    Transient("down"),
    Rejected("invalid_grant"),
    ValueError("access-1 refresh-1"),
]


def shown(bench: Bench) -> str:
    """Return all that a person may come to see of the refresher and its tokens."""
    console = Console(file=io.StringIO(), width=200)
    for thing in (bench.refresher, bench.refresher.report(), bench.store.tokens, *bench.provider.outcomes[:1]):
        if not isinstance(thing, Exception):
            console.print(thing)
            console.print(repr(thing))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: type(story).__name__)
@pytest.mark.parametrize("disk_full", [False, True])
async def test_nothing_shows_a_secret(story: Outcome | Exception, *, disk_full: bool) -> None:
    """No token stands in a repr, a rich repr, the report, a log line or an error."""
    with capture_logs() as lines:
        bench = await make_bench(token_set(), story)
        if disk_full:
            bench.store.save_error = StoreError("disk full")
        bench.expire()
        try:
            await bench.token()
        except JmapProxyError as error:
            told = f"{error!r} {error} {error.problem()} {error.headers()}"
        else:
            told = str(bench.refresher.refused_again("access-2").problem())
    assert lines
    seen = f"{lines} {told} {shown(bench)}"
    assert not [secret for secret in SECRETS if secret in seen]

from __future__ import annotations

from jmap_proxy.errors import JmapProxyError, TokenDelayed
from jmap_proxy.proxy.passage import Passage, Unobserved
from jmap_proxy.request_id import begin_request, current_request


class Noted:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, int, float]] = []
        self.failures: list[tuple[str, str, str]] = []

    def answered(self, kind: str, status: int, seconds: float) -> None:
        """See `Observer`."""
        self.answers.append((kind, status, seconds))

    def failed(self, account: str, error: JmapProxyError, request_id: str) -> None:
        """See `Observer`."""
        self.failures.append((account, error.code, request_id))


def test_an_answer_begins_once() -> None:
    """What follows the first byte, an end of a stream or an error in the middle of it, is no second answer."""
    noted = Noted()
    passage = Passage(noted)
    passage.kind = "api"
    passage.answer(200)
    passage.answer(500)
    ((kind, status, seconds),) = noted.answers
    assert (kind, status) == ("api", 200)
    assert seconds >= 0


def test_a_request_of_which_nothing_is_known_is_another_one() -> None:
    """Nobody's, and of no known kind; outside of a request there is no id."""
    noted = Noted()
    passage = Passage(noted)
    passage.fail(TokenDelayed("slow"))
    passage.answer(503)
    assert noted.failures == [("", "token-delayed", "")]
    assert noted.answers[0][:2] == ("other", 503)


async def test_an_error_is_known_by_its_request() -> None:
    """By the same id that stands in the log."""
    noted = Noted()
    begin_request()
    passage = Passage(noted)
    passage.account = "alice"
    passage.fail(TokenDelayed("slow"))
    assert noted.failures == [("alice", "token-delayed", str(current_request()))]


def test_nobody_needs_to_look() -> None:
    """Without an observer all goes on the same."""
    passage = Passage(Unobserved())
    passage.fail(TokenDelayed("slow"))
    passage.answer(503)

from __future__ import annotations

import json

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from jmap_proxy.autodiscovery.http import Page
from jmap_proxy.autodiscovery.session_answer import challenge_of
from jmap_proxy.errors import DiscoveryError

SESSION = {"capabilities": {}, "apiUrl": "/jmap", "accounts": {}}


def page(status: int, body: object = "", *challenges: str) -> Page:
    """An answer."""
    fields = CIMultiDict([("WWW-Authenticate", challenge) for challenge in challenges])
    text = body if isinstance(body, str) else json.dumps(body)
    return Page("https://mail.example.com/.well-known/jmap", status, CIMultiDictProxy(fields), text.encode())


@pytest.mark.parametrize("status", [401, 403])
def test_the_bearer_challenge_is_taken(status: int) -> None:
    """Wherever it stands; a gateway's 403 counts too."""
    challenge = challenge_of(page(status, "no", 'Basic realm="x"', 'Bearer realm="y", scope="a b"'))
    assert challenge.parameters == {"realm": "y", "scope": "a b"}


@pytest.mark.parametrize("answer", [page(401), page(401, "", 'Basic realm="x"'), page(200, SESSION)])
def test_a_server_may_say_nothing(answer: Page) -> None:
    """No challenge for tokens, or a Session that is nobody's (measured: Stalwart): the search goes on."""
    assert not challenge_of(answer).parameters


@pytest.mark.parametrize(
    ("answer", "told", "hint"),
    [
        (page(200, SESSION | {"accounts": {"a": {}}}), "gives mail to anybody", "needs no proxy"),
        (page(200, "<html>Welcome"), "no JMAP Session", "--server"),
        (page(200, {"jmap": True}), "no JMAP Session", "--server"),
        (page(200, []), "no JMAP Session", "--server"),
        (page(404), "there is no JMAP at https://mail.example.com", "--server"),
        (page(410), "there is no JMAP", "--server"),
        (page(500), "trouble of its own", "later"),
        (page(503), "trouble of its own", "later"),
        (page(429), "trouble of its own", "later"),
        (page(204), "answers 204", "--server"),
        (page(405), "answers 405", "--server"),
    ],
)
def test_what_is_no_server_to_sign_in_at_is_told(answer: Page, told: str, hint: str) -> None:
    """Each in its own words, with what to do."""
    with pytest.raises(DiscoveryError, match=told) as caught:
        challenge_of(answer)
    assert hint in caught.value.hint

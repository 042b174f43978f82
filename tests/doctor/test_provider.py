from __future__ import annotations

import json

from jmap_proxy.doctor.finding import Level
from jmap_proxy.doctor.provider import judge_metadata
from jmap_proxy.oauth.http import Answer

ISSUER = "https://sso.example.com"
GOOD = {"issuer": ISSUER, "token_endpoint": f"{ISSUER}/token"}
PAGE = b"<!doctype html>"


def _judged(*bodies: bytes | None) -> tuple[str, Level, bool]:
    answers = [
        (f"{ISSUER}/{number}", Answer(404 if body is None else 200, {}, body or b""))
        for number, body in enumerate(bodies)
    ]
    finding, metadata = judge_metadata("alice", ISSUER, answers)
    return finding.code, finding.level, metadata is not None


def test_one_good_document_is_enough() -> None:
    """A web application answers 200 with its page to any path that it does not know."""
    good = json.dumps(GOOD).encode()
    for answers in ((good, None), (None, good), (PAGE, good), (good, PAGE)):
        assert _judged(*answers) == ("discovery", Level.OK, True)


def test_the_document_that_says_most_is_told_of() -> None:
    """Of a page and another issuer's metadata, the latter."""
    other = json.dumps(GOOD | {"issuer": f"{ISSUER}/"}).encode()
    assert _judged(PAGE, other) == _judged(other, None) == ("issuer-mismatch", Level.ERROR, False)
    assert _judged(PAGE, PAGE) == ("metadata-malformed", Level.ERROR, False)
    assert _judged(None, None) == ("metadata-missing", Level.ERROR, False)


def test_metadata_that_lack_what_is_needed_are_malformed() -> None:
    """Though they are of the right issuer."""
    assert _judged(json.dumps({"issuer": ISSUER}).encode()) == ("metadata-malformed", Level.ERROR, False)


def test_an_endpoint_over_plain_http_is_told() -> None:
    """A secret would leave this machine in the plain."""
    body = json.dumps(GOOD | {"authorization_endpoint": "http://sso.example.com/authorize"}).encode()
    assert _judged(body) == ("endpoint-unsafe", Level.ERROR, False)

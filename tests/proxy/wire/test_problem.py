import json

from jmap_proxy.errors import MethodRefused, TokenDelayed, TooManyConnections
from jmap_proxy.proxy.wire.problem import problem_bytes, problem_response
from jmap_proxy.request_id import begin_request, current_request


def test_an_error_is_an_answer() -> None:
    """Status, problem details, the fields of the error, and what keeps caches and browsers out of it."""
    error = TokenDelayed("slow", hint="wait", retry_after=1.5)
    response = problem_response(error)
    assert (response.status, response.content_type) == (503, "application/problem+json")
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == error.problem()
    assert response.headers["Retry-After"] == "2"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_error_tells_which_request_it_was() -> None:
    """By its `instance` (RFC 9457 §3.1.5), where there is a request."""
    begin_request()
    request = current_request()
    assert request is not None
    response = problem_response(TokenDelayed("slow"))
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["instance"] == request.urn


def test_a_405_says_what_is_allowed() -> None:
    """RFC 9110 §15.5.6."""
    assert problem_response(MethodRefused("PUT", frozenset({"GET"}))).headers["Allow"] == "GET"


def test_an_error_is_a_whole_last_answer() -> None:
    """The same fields and body, framed by its length, for a connection that ends with it."""
    error = TooManyConnections(7)
    head, _, body = problem_bytes(error).partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    assert line == b"HTTP/1.1 503 Service Unavailable"
    assert json.loads(body) == error.problem()
    assert {b"Connection: close", b"Content-Length: %d" % len(body), b"Retry-After: 1"} <= set(fields)
    assert {b"Cache-Control: no-store", b"Content-Type: application/problem+json"} <= set(fields)

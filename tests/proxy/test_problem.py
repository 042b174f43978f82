import json

from jmap_proxy.errors import MethodRefused, TokenDelayed
from jmap_proxy.proxy.problem import problem_response


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


def test_a_405_says_what_is_allowed() -> None:
    """RFC 9110 §15.5.6."""
    assert problem_response(MethodRefused("PUT", frozenset({"GET"}))).headers["Allow"] == "GET"

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.oauth.authorization import Attempt
from jmap_proxy.oauth.pasted import parse_pasted, why_not

ATTEMPT = Attempt(state="ours", nonce="n", code_verifier="v")
OURS = {"code": ["c+/="], "state": ["ours"], "iss": ["https://sso.example"]}
QUERY = "code=c%2B%2F%3D&state=ours&iss=https%3A%2F%2Fsso.example"


@pytest.mark.parametrize(
    "text",
    [
        f"http://127.0.0.1:50000/callback?{QUERY}",
        f"http://localhost/callback?{QUERY}\n",
        f'  "http://127.0.0.1:50000/callback?{QUERY}"  \r\n',
        f"<http://127.0.0.1/callback?{QUERY}>",
        f"http://127.0.0.1/callback?{QUERY}#_=_",
        f"127.0.0.1:50000/callback?{QUERY}",
        f"?{QUERY}",
        QUERY,
        f"\u201c{QUERY}\u201d",
    ],
)
def test_an_address_is_read_however_it_was_copied(text: str) -> None:
    """Whole, without its beginning, with what stands around it."""
    assert parse_pasted(text) == OURS
    assert why_not(parse_pasted(text), ATTEMPT) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("what?", "holds no state"),
        ("https://sso.example/", "holds no state"),
        ("http://127.0.0.1/callback?code=c", "holds no state"),
        ("code=c&state=theirs", "another sign-in"),
        ("code=c&state=ours&state=ours", "another sign-in"),
        ("code=c&state=%FF", "another sign-in"),
        ("https://sso.example/authorize?response_type=code&state=ours", "the address at which the sign-in begins"),
        ("&".join(["x=1"] * 60), "holds no state"),
    ],
)
def test_what_it_is_not_is_told(text: str, told: str) -> None:
    """Each mistake in words of its own; what was pasted is not repeated."""
    assert told in why_not(parse_pasted(text), ATTEMPT)


def test_a_refusal_is_an_answer_too() -> None:
    """It ends the sign-in."""
    assert why_not(parse_pasted("error=access_denied&state=ours"), ATTEMPT) == ""


@given(st.text())
def test_any_text_is_judged(text: str) -> None:
    """Nothing that can be typed is an error of the program."""
    assert isinstance(why_not(parse_pasted(text), ATTEMPT), str)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.proxy.door.cors import cors_fields, is_preflight, preflight_fields

PAGE = "http://localhost:3000"


def test_a_preflight_is_an_options_with_both_marks() -> None:
    """Anything else is a request as any other."""
    marks = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    assert is_preflight("OPTIONS", marks)
    assert not is_preflight("POST", marks)
    for missing in marks:
        assert not is_preflight("OPTIONS", {name: value for name, value in marks.items() if name != missing})


def test_a_preflight_is_told_what_a_jmap_client_needs() -> None:
    """The page's own origin, all methods of the endpoints, and no credentials of the browser's own."""
    fields = dict(preflight_fields(PAGE, {}))
    assert fields["Access-Control-Allow-Origin"] == PAGE
    assert {"GET", "POST", "PUT", "DELETE"} <= set(fields["Access-Control-Allow-Methods"].split(", "))
    assert "Origin" in fields["Vary"]
    assert int(fields["Access-Control-Max-Age"]) > 0
    unasked = {
        "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Headers",
        "Access-Control-Allow-Private-Network",
    }
    assert not unasked & set(fields)


@pytest.mark.parametrize("names", ["authorization", "authorization,content-type", "accept, last-event-id, x-a_b"])
def test_the_header_fields_that_a_page_asks_for_are_granted(names: str) -> None:
    """As they stand."""
    assert ("Access-Control-Allow-Headers", names) in preflight_fields(PAGE, {"Access-Control-Request-Headers": names})


@given(st.text())
def test_nothing_but_names_comes_back(names: str) -> None:
    """Whatever is asked for, no answer holds more than a list of names; above all no other line."""
    fields = dict(preflight_fields(PAGE, {"Access-Control-Request-Headers": names}))
    granted = fields.get("Access-Control-Allow-Headers", "")
    assert granted in ("", names)
    assert granted.isascii()
    assert not set(granted) & set('\r\n\0:;()<>@/[]?={}"')


def test_a_private_network_is_granted_where_it_is_asked_for() -> None:
    """A web client of the internet asks for it, since the proxy is on this machine."""
    fields = preflight_fields(PAGE, {"Access-Control-Request-Private-Network": "true"})
    assert ("Access-Control-Allow-Private-Network", "true") in fields


def test_an_answer_can_be_read_by_the_page_that_asked_and_by_no_other() -> None:
    """The exact origin, and caches know that it matters; without an allowed origin there is nothing."""
    assert cors_fields("") == []
    fields = dict(cors_fields(PAGE))
    assert fields["Access-Control-Allow-Origin"] == PAGE
    assert fields["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in fields

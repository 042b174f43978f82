import msgspec
import pytest

from jmap_proxy.tokens.report import State, TokenReport


@pytest.mark.parametrize("state", State)
def test_a_report_is_plain_json(state: State) -> None:
    """A report can be told as JSON as it is, with its state as a word."""
    told = msgspec.json.decode(msgspec.json.encode(TokenReport(state=state)))
    assert told["state"] == state.value
    assert told["expires_at"] is None

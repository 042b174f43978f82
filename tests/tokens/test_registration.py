from io import StringIO

import msgspec
import pytest
from rich.console import Console

from jmap_proxy.tokens.registration import Registration
from tests.tokens.builders import NOW

REGISTRATION = Registration(
    issuer="https://sso.example.com",
    client_id="c1",
    client_secret="very-secret",
    registered_at=NOW,
    registration_access_token="also-secret",
)


def test_no_secret_is_shown() -> None:
    """Whoever prints a registration, plainly or by rich, sees whose it is and no secret."""
    out = StringIO()
    Console(file=out).print(REGISTRATION)
    for shown in (repr(REGISTRATION), str(REGISTRATION), out.getvalue()):
        assert "c1" in shown
        assert "secret" not in shown


def test_it_is_stored_and_read_as_it_is() -> None:
    """The stored form gives back the same value; a member that is not known is an error, not a loss."""
    stored = msgspec.json.encode(REGISTRATION)
    assert msgspec.json.decode(stored, type=Registration) == REGISTRATION
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({**msgspec.to_builtins(REGISTRATION), "new": 1}, type=Registration)

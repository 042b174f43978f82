from typing import Any

import msgspec
import pytest

from jmap_proxy.tokens.migration import migrated
from jmap_proxy.tokens.tokenset import SCHEMA_VERSION, TokenSet
from tests.tokens.builders import NOW, token_set

FORM_1: dict[str, Any] = {
    "account": "alice",
    "issuer": "https://sso.example.com",
    "client_id": "jmap-proxy",
    "access_token": "access-1",
    "refresh_token": "refresh-1",
    "scope": "mail",
    "subject": "sub-1",
    "sign_in_id": "first",
    "generation": 1,
    "obtained_at": NOW,
    "expires_at": NOW + 3600,
    "schema_version": 1,
}
"""As version 0.1.0 has stored it."""


@pytest.mark.parametrize(("generation", "signed_in_at"), [(1, NOW), (5, 0.0)])
def test_form_1_is_read(generation: int, signed_in_at: float) -> None:
    """All that it holds is kept; the first generation also tells when the sign-in was."""
    tokens = msgspec.convert(migrated({**FORM_1, "generation": generation}), type=TokenSet)
    expected = token_set(generation, signed_in_at=signed_in_at, scope="mail", subject="sub-1", access_token="access-1")
    assert tokens == expected


def test_form_2_is_read() -> None:
    """It lacks only what it could not know: its clients were all named by the configuration."""
    stored = {**FORM_1, "generation": 4, "signed_in_at": NOW - 60, "rotation": "yes", "schema_version": 2}
    tokens = msgspec.convert(migrated(stored), type=TokenSet)
    assert tokens == token_set(
        4, signed_in_at=NOW - 60, rotation="yes", scope="mail", subject="sub-1", access_token="access-1"
    )
    assert (tokens.registration, tokens.grant_type, tokens.resource) == (None, "refresh_token", "")


def test_form_3_is_read() -> None:
    """It lacks the user name alone."""
    stored = {**FORM_1, "generation": 4, "signed_in_at": NOW, "rotation": "no", "registration": None}
    tokens = msgspec.convert(migrated({**stored, "schema_version": 3}), type=TokenSet)
    expected = token_set(4, signed_in_at=NOW, rotation="no", scope="mail", subject="sub-1", access_token="access-1")
    assert tokens == expected
    assert tokens.username == ""


@pytest.mark.parametrize("version", [0, 4, 5, None, "1", "2", True])
def test_other_forms_are_left_as_they_are(version: object) -> None:
    """The present one needs nothing, and nothing is known of the others."""
    assert migrated({**FORM_1, "schema_version": version}) == {**FORM_1, "schema_version": version}
    assert SCHEMA_VERSION == 4

from __future__ import annotations

from typing import Any

import pytest

from jmap_proxy.config import Account, parse_config
from jmap_proxy.doctor.finding import Level
from jmap_proxy.doctor.rotation import judge_rotation
from tests.tokens.builders import token_set

FASTMAIL = "https://api.fastmail.com"


def account(server: str = "https://mail.example.com", **keys: str) -> Account:
    """An account of a configuration, with the keys of its preset."""
    lines = [f'{key} = "{value}"' for key, value in {"server": server, **keys}.items()]
    return parse_config("\n".join(["[accounts.alice]", *lines])).accounts["alice"]


@pytest.mark.parametrize(
    ("rotation", "told"),
    [
        ("yes", "the provider gives new refresh tokens, replay is strict"),
        ("no", "the provider keeps the refresh token"),
        ("unknown", "no refresh was seen yet"),
    ],
)
def test_what_is_known_of_the_rotation_is_told(rotation: Any, told: str) -> None:
    """As far as it was seen."""
    (finding,) = judge_rotation("alice", account(), token_set(rotation=rotation))
    assert (finding.code, finding.level, finding.what) == ("rotation", Level.OK, told)


def test_without_a_refresh_token_nothing_rotates() -> None:
    """As with client credentials."""
    assert judge_rotation("alice", account(), token_set(refresh_token="", grant_type="client_credentials")) == []


@pytest.mark.parametrize("keys", [{"preset": "fastmail"}, {"server": FASTMAIL}, {"server": "https://x.fastmail.com/"}])
def test_a_provider_that_punishes_a_replay(keys: dict[str, str]) -> None:
    """By its preset, or by its host."""
    bold = judge_rotation("alice", account(**keys, replay="grace"), token_set(rotation="yes"))[0]
    assert (bold.code, bold.level) == ("replay-too-bold", Level.WARNING)
    assert "Fastmail" in bold.what
    assert bold.mend == 'set accounts.alice.replay = "strict"'
    careful = judge_rotation("alice", account(**keys), token_set(rotation="yes"))[0]
    assert careful.code == "rotation"


@pytest.mark.parametrize("preset", ["generic", "cyrus", "stalwart", "twake"])
def test_of_other_providers_the_user_knows_more(preset: str) -> None:
    """Those presets are about the server; the provider is anybody's."""
    (finding,) = judge_rotation("alice", account(preset=preset, replay="grace"), token_set())
    assert finding.code == "rotation"


def test_a_server_that_is_known_lacks_its_settings() -> None:
    """Only where they differ, and where no preset was chosen; hosts count by whole labels."""
    findings = judge_rotation("alice", account(FASTMAIL), token_set())
    assert [each.code for each in findings] == ["rotation", "preset-fits"]
    assert findings[1].what.endswith("other settings are known: resource, upstream_origins")
    assert 'accounts.alice.preset = "fastmail"' in findings[1].mend
    for other in (
        account(FASTMAIL, preset="fastmail"),
        account(FASTMAIL, preset="generic"),
        account("https://evil-fastmail.com"),
    ):
        assert [each.code for each in judge_rotation("alice", other, token_set())] == ["rotation"]
    known = account(preset="fastmail")
    bare = Account(server=FASTMAIL, resource=known.resource, upstream_origins=known.upstream_origins)
    assert [each.code for each in judge_rotation("alice", bare, token_set())] == ["rotation"]

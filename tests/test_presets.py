import pytest

from jmap_proxy.config import parse_config
from jmap_proxy.presets import preset_for, presets


@pytest.mark.parametrize("name", sorted(presets()))
def test_each_preset_is_a_configuration(name: str) -> None:
    """What a preset sets is accepted as an account's keys, and it says whom it is for."""
    preset = presets()[name]
    assert preset.title
    assert preset.notes
    config = parse_config(f'[accounts.a]\npreset = "{name}"\nserver = "https://mail.example.com"')
    assert config.account("a").preset == name


def test_fastmail_needs_no_server() -> None:
    """It is the one server of its kind."""
    alice = parse_config('[accounts.alice]\npreset = "fastmail"').account("alice")
    assert alice.session_url == "https://api.fastmail.com/jmap/session"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.fastmail.com", "fastmail"),
        ("fastmail.com", "fastmail"),
        ("phl.api.fastmail.com", "fastmail"),
        ("evilfastmail.com", ""),
        ("fastmail.com.evil.net", ""),
        ("mail.example.com", ""),
    ],
)
def test_a_server_is_recognised_by_whole_labels(host: str, name: str) -> None:
    """A host that only looks like one of a known server gets no preset."""
    assert preset_for(host) == name

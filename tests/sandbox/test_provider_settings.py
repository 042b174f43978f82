from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.provider_settings import overridden


def test_a_representation_shows_no_secret() -> None:
    """The settings can be printed."""
    text = repr(ProviderSettings(client_secret="hush"))
    assert "hush" not in text
    assert "expires_in=AUTOMATIC" in text


def test_overrides_replace_add_and_remove() -> None:
    """A value replaces or adds, None removes."""
    assert overridden({"a": 1, "b": 2}, {"a": 3, "b": None, "c": 4}) == {"a": 3, "c": 4}

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.doctor.finding import error, info, ok, redacted, told, warning, without_home
from jmap_proxy.errors import StoreError

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(words, words, st.text("abcXYZ019-_.", min_size=8, max_size=40))
def test_no_secret_comes_through(before: str, after: str, secret: str) -> None:
    """In whatever text it stands, also where a host name has made its letters small."""
    for shown in (secret, secret.lower()):
        finding = redacted(error("x", before + shown + after, f"set {shown}"), [secret])
        assert secret.lower() not in finding.what.lower().replace("[secret]", "\n")
        assert finding.mend == "set [secret]"


@given(words)
def test_no_character_that_a_terminal_obeys_comes_through(text: str) -> None:
    """Such as those that a server puts into its texts."""
    finding = redacted(warning("x", text, text), [])
    assert finding.what.isprintable()
    assert len(finding.what) == len(text)


def test_what_is_short_is_no_secret() -> None:
    """A provider whose tokens are single letters does not make the text unreadable."""
    finding = ok("x", "all is well")
    assert redacted(finding, ["", "a", "l"]) == finding


def test_the_home_folder_is_not_told() -> None:
    """But for other folders whose names begin like it."""
    finding = error("x", "/home/al/.config is bad, /home/alice and /home/al-2 not", "move /home/al")
    shown = without_home(finding, "/home/al/")
    assert (shown.what, shown.mend) == ("~/.config is bad, /home/alice and /home/al-2 not", "move ~")


def test_a_home_that_is_no_folder_of_its_own_is_passed_over() -> None:
    """As that of a container's user can be "/", or none."""
    finding = info("x", "/etc/passwd", "look at /etc")
    assert without_home(finding, "/") == without_home(finding, "") == finding


def test_an_error_without_hint_gets_a_mend() -> None:
    """Each finding that is not good has one."""
    assert told("x", StoreError("bad"), mend="mend it").mend == "mend it"
    assert told("x", StoreError("bad", hint="so"), mend="mend it").mend == "so"

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.doctor.finding import Finding, Level, error, info, ok, warning
from jmap_proxy.doctor.report import as_json, as_text

sentences = st.lists(st.text("abc-/é", min_size=1, max_size=60), min_size=1, max_size=30).map(" ".join)
findings = st.lists(st.builds(Finding, st.just("some-code"), st.sampled_from(Level), sentences, sentences))

FOUND = [
    ok("files", "well"),
    ok("session", "of alice", "alice"),
    warning("local-key-missing", "no key", "run: jmap-proxy key alice", "alice"),
    info("service-absent", "no unit", "run: jmap-proxy service install"),
    error("open-to-others", "/home/al/x can be used by others", "run: chmod go= /home/al/x"),
]


@given(findings)
def test_it_fits_80_columns_and_loses_no_word(found: list[Finding]) -> None:
    """The lines are cut between words only, so that what is copied works."""
    text = as_text(found)
    assert all(len(line) <= 80 for line in text.splitlines())
    for finding in found:
        if finding.level is not Level.OK:
            assert " ".join(finding.mend.split()) in " ".join(text.split())


def test_a_command_that_is_longer_than_a_line_stays_whole() -> None:
    """A path is never broken."""
    path = "/" + "x" * 100
    assert f" {path}\n" in as_text([error("x", "bad", f"chmod {path}")])


def test_the_worst_comes_first_and_what_is_well_is_one_paragraph() -> None:
    """With the account in question, and a sum."""
    lines = as_text(FOUND).splitlines()
    assert lines[0] == "error    open-to-others: /home/al/x can be used by others"
    assert lines[1] == "         mend: run: chmod go= /home/al/x"
    assert lines[3].startswith("warning  local-key-missing (alice): no key")
    assert lines[6].startswith("info     service-absent")
    assert lines[9] == "ok       files, alice: session"
    assert lines[-1] == "1 error, 1 warning."


def test_nothing_wrong_is_said_so() -> None:
    """In the last line."""
    assert as_text([ok("files", "well")]).endswith("no errors, no warnings.")
    assert as_text([error("x", "y", "z")] * 2).endswith("2 errors, no warnings.")


def test_json_holds_all_of_it_without_the_home_folder() -> None:
    """And says what the exit code says."""
    report = json.loads(as_json(FOUND, "/home/al"))
    assert (report["ok"], report["errors"], report["warnings"]) == (False, 1, 1)
    assert [each["level"] for each in report["findings"]] == ["error", "warning", "info", "ok", "ok"]
    assert report["findings"][0]["mend"] == "run: chmod go= ~/x"
    assert report["findings"][4]["account"] == "alice"

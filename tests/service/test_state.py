from __future__ import annotations

from jmap_proxy.service.state import ServiceState

RUNNING = ServiceState(
    path="/u", installed=True, untouched=True, starts_by_itself=True, running=True, told="listening", trouble=""
)


def test_it_is_told_in_words() -> None:
    """What runs, whether it starts by itself, and where its file is."""
    assert RUNNING.lines() == ["The service is running (listening), and starts by itself.", "Its file: /u"]


def test_what_is_not_as_it_should_be() -> None:
    """Not running, changed, no answer of the platform; not installed with the command that installs it."""
    odd = ServiceState(
        path="/u", installed=True, untouched=False, starts_by_itself=False, running=False, trouble="no bus"
    )
    assert odd.lines() == [
        "The service is not running, and does not start by itself.",
        "Its file: /u",
        "That was written or changed by somebody else.",
        "note: the platform tells nothing: no bus",
    ]
    none = ServiceState(path="/u", installed=False, untouched=False, starts_by_itself=False, running=False)
    assert none.lines() == ["The service is not installed; run: jmap-proxy service install"]

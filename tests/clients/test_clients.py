"""The data files, one a client."""

from __future__ import annotations

import pytest

from jmap_proxy.clients import clients

NAMES = {
    "aerc",
    "curl",
    "fastmail-cli",
    "himalaya",
    "jmap-jam",
    "jmapc",
    "jmaplib",
    "ltt.rs",
    "meli",
    "mujmap",
}


def test_every_promised_client_is_there() -> None:
    """By its name, in order."""
    assert set(clients()) == NAMES
    assert list(clients()) == sorted(clients())


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("aerc", ("https",)),
        ("jmapc", ("https",)),
        ("fastmail-cli", ("https",)),
        ("mujmap", ("http", "https")),
        ("curl", ("http", "unix", "https")),
    ],
)
def test_the_ways_in_are_those_that_were_measured(name: str, kinds: tuple[str, ...]) -> None:
    """Clients that insist on https are given nothing else; elsewhere plain http comes first."""
    assert clients()[name].kinds == kinds


def test_each_line_fits_a_table() -> None:
    """A title is a few words, and nothing is there twice."""
    assert all(0 < len(each.title) <= 30 for each in clients().values())
    assert all(each.settings.strip() and each.place for each in clients().values())

from __future__ import annotations

from jmap_proxy.service.served import Served


def test_all_texts_are_looked_at() -> None:
    """None of them can hide a line break."""
    served = Served(argv=("a", "b"), writable=("c",), environment={"d": "e"}, log="f")
    assert served.texts == ("a", "b", "c", "d", "e", "f")

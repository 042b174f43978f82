"""Words of servers and providers as they may stand in a terminal. Pure."""

from __future__ import annotations


def shown(text: str) -> str:
    """One line of text, without what would do something to the terminal or begin a line of its own."""
    return "".join(each if each.isprintable() else "?" for each in text)


def shown_lines(text: str) -> str:
    """As `shown`, with the line breaks left in; for text that is written here."""
    return "\n".join(map(shown, text.split("\n")))

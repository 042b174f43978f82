"""The address at which a browser elsewhere has ended, as a user pastes it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from jmap_proxy.oauth.authorization import is_for

if TYPE_CHECKING:
    from jmap_proxy.oauth.authorization import Attempt

AROUND = " \t\r\n\"'`<>\u00a0\u200b\ufeff\u201c\u201d\u2018\u2019"
"""What comes along when an address is copied."""

MOST_PARAMETERS = 50


def parse_pasted(text: str) -> dict[str, list[str]]:
    """The parameters of an address, or of its query alone; none if there are none."""
    text = text.strip(AROUND).partition("#")[0]
    query = text.rpartition("?")[2]
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return {}


def why_not(parameters: dict[str, list[str]], attempt: Attempt) -> str:
    """What to tell of a paste that is not what a sign-in waits for, "" if it is."""
    if "state" not in parameters:
        return "This is not the address that the sign-in ended at: it holds no state. Paste the whole address:"
    if not is_for(parameters, attempt):
        return "This address is that of another sign-in. Open the URL above, and paste the address that it ends at:"
    if not parameters.keys() & {"code", "error"}:
        return "This is the address at which the sign-in begins. Paste the one that it ends at:"
    return ""

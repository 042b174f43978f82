"""A process that runs the command `token` again and again until its stdin ends, as scripts and mail tools do.

Its arguments are those of the command. At the end it says how often that went well, and what went wrong.
"""

from __future__ import annotations

import contextlib
import io
import json
import select
import sys

from jmap_proxy.cli import main

PAUSE = 0.1
"""Seconds between two runs: a machine with two cores has others to serve too."""


def run_token(args: list[str]) -> str:
    """Run it once: what it printed on stderr, "" if all went well."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["jmap-proxy", "token", *args]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit:
            return err.getvalue()
    return "" if out.getvalue().strip() else "it printed no token"


def run_again_and_again(args: list[str]) -> None:
    """Run it until stdin ends."""
    good, bad = 0, []
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        if error := run_token(args):
            bad.append(error)
        else:
            good += 1
    print(json.dumps({"good": good, "bad": bad}))


if __name__ == "__main__":
    run_again_and_again(sys.argv[1:])

"""Programs of the platform for services (systemctl, launchctl): real ones, that write down how they are called."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("systemctl", "loginctl", "launchctl")

_SCRIPT = """\
#!/bin/sh
printf '%s\\n' "{name} $*" >>{folder}/calls
for word in "$@"; do
  if [ -f {folder}/answers/{name}."$word" ]; then . {folder}/answers/{name}."$word"; fi
done
exit 0
"""


class PlatformPrograms:
    """The programs, which do well unless they are told what to answer.

    Args:
        folder: Where they are to be; it goes to the front of the PATH.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "answers").mkdir(parents=True)
        for name in NAMES:
            file = folder / name
            file.write_text(_SCRIPT.format(name=name, folder=shlex.quote(str(folder))))
            file.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        """How they were called since the last look."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def answer(self, program: str, word: str, *, out: str = "", err: str = "", code: int = 0) -> None:
        """What the program does from now on when this is one of its arguments."""
        lines = [f"printf '%s' {shlex.quote(out)}", f"printf '%s' {shlex.quote(err)} >&2", f"exit {code}"]
        self.script(program, word, "\n".join(lines))

    def script(self, program: str, word: str, lines: str) -> None:
        """The same with lines of the shell."""
        self.file(program, word).write_text(lines)

    def file(self, program: str, word: str) -> Path:
        """Where that answer is."""
        return self.folder / "answers" / f"{program}.{word}"

    def do_well(self, program: str, word: str) -> None:
        """Forget that answer."""
        self.file(program, word).unlink()

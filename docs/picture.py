"""Draws docs/terminal.svg: what a first run shows, recorded from one against the sandbox on this machine.

Nothing is made up: each command runs in a shell with a home folder of its own, and what it prints is drawn. Lines that
are longer than the picture are cut, and the home folder is shown as ~. Needs bash, curl and jq, and the usual ports.

    python docs/picture.py [OPTIONS FOR LOGIN]
"""  # noqa: INP001 - a script

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from jmap_proxy.sandbox import IdentityProvider, MailServer, ProviderSettings
from jmap_proxy.sandbox.shapes import stalwart

PICTURE = Path(__file__).parent / "terminal.svg"
WIDTH = 92
WHO = "alice@example.com"
FONTS = "ui-monospace, 'SFMono-Regular', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
DARK, LIGHT, RED, GREEN = (22, 27, 34), (230, 237, 243), (255, 123, 114), (126, 231, 135)
THEME = TerminalTheme(DARK, LIGHT, [DARK, RED, GREEN, LIGHT, LIGHT, LIGHT, LIGHT, LIGHT])
"""Light on dark, whatever is around it: the picture brings its own ground."""

ROBOT = """import asyncio, sys
from jmap_proxy.sandbox import browse
asyncio.run(browse(sys.argv[1]))
"""
LIST_MAIL = {
    "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
    "methodCalls": [
        ["Email/query", {"accountId": "u-alice-example-com", "limit": 4}, "q"],
        [
            "Email/get",
            {
                "accountId": "u-alice-example-com",
                "#ids": {"resultOf": "q", "name": "Email/query", "path": "/ids"},
                "properties": ["subject"],
            },
            "g",
        ],
    ],
}


class Recording:
    """What is typed and what comes of it, as a terminal would show it.

    Args:
        home: The home folder of the commands.
    """

    def __init__(self, home: Path) -> None:
        self.console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
        self.home = home
        self.environment = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "COLUMNS": str(WIDTH),
            "BROWSER": f"{sys.executable} {home / '.robot.py'} %s",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }

    def type(self, command: str) -> None:
        """Show a command."""
        self.console.print(Text.assemble(("$ ", "green"), (command, "bold")))

    def show(self, line: str) -> None:
        """Show a line of output."""
        line = line.replace(str(self.home), "~")
        self.console.print(Text(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"))

    async def run(self, command: str) -> str:
        """Run a command to its end; what it printed. Raises SystemExit where it fails."""
        self.type(command)
        process = await self.start(command)
        out = (await process.communicate())[0].decode()
        if process.returncode:
            raise SystemExit(f"{command}\nended with {process.returncode}:\n{out}")
        for line in out.rstrip().splitlines():
            self.show(line)
        self.show("")
        return out

    async def start(self, command: str) -> asyncio.subprocess.Process:
        """Start a command; what it says on stderr comes with the rest."""
        return await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            command,
            env=self.environment,
            cwd=self.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )


async def record(home: Path, login_options: list[str]) -> Console:
    """Go from nothing to mail."""
    (home / ".robot.py").write_text(ROBOT)
    (home / "list-mail.json").write_text(json.dumps(LIST_MAIL))
    recording = Recording(home)
    async with (
        IdentityProvider(settings=ProviderSettings(registration="open")) as provider,
        MailServer(provider.check, settings=stalwart(provider.issuer)) as mail,
    ):
        options = " ".join(["", *login_options])
        told = await recording.run(f"jmap-proxy login {WHO} --server {mail.base_url}{options}")
        (key,) = re.findall(r"^Local key: (\w+)$", told, re.MULTILINE)
        await serve_and_use(recording, key)
    return recording.console


async def serve_and_use(recording: Recording, key: str) -> None:
    """Start the proxy, and be its client."""
    recording.type("jmap-proxy serve &")
    serving = await recording.start("exec jmap-proxy serve")
    try:
        for _ in ("listening on", "admin on"):
            recording.show(await line_of(serving))
        recording.show("")
        recording.type(f"KEY={key}")
        recording.environment["KEY"] = key
        await recording.run("curl -s -u any:$KEY http://127.0.0.1:8620/.well-known/jmap | jq -r .apiUrl | tee api-url")
        post = "curl -s -u any:$KEY -H Content-Type:application/json -d @list-mail.json $(cat api-url)"
        await recording.run(f"{post} |\n    jq -r '.methodResponses[1][1].list[].subject'")
        await recording.run("jmap-proxy status")
    finally:
        if serving.returncode is None:
            serving.terminate()
        await serving.communicate()


async def line_of(process: asyncio.subprocess.Process) -> str:
    """The next line that it prints. Raises SystemExit where there is none."""
    line = await process.stdout.readline() if process.stdout else b""
    if not line:
        raise SystemExit("jmap-proxy serve ended; is there another one at its ports?")
    return line.decode().rstrip()


def drawn(console: Console) -> str:
    """The picture; it loads no font, and is set in what each machine has."""
    svg = console.export_svg(title="jmap-proxy", theme=THEME)
    svg = re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


async def main() -> None:
    """Record it and write the picture."""
    if missing := [program for program in ("bash", "curl", "jq") if shutil.which(program) is None]:
        raise SystemExit(f"needs {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="jmap-proxy-picture-") as folder:
        console = await record(Path(folder), sys.argv[1:])
    PICTURE.write_text(drawn(console), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())

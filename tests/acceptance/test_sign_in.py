"""From nothing to mail in one command: no configuration, no state, a server that the program has never heard of."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
import pytest

from jmap_proxy.sandbox import Fault, IdentityProvider, MailServer, MailSettings, ProviderSettings, browse
from jmap_proxy.sandbox.shapes import cyrus, fastmail, stalwart, twake
from tests.support.ports import free_port
from tests.support.program import Ended, Program
from tests.support.world import basic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

ALICE = "alice@example.com"
MAIL_SCOPE = "urn:ietf:params:oauth:scope:mail"
LIST_MAIL = {
    "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
    "methodCalls": [["Email/query", {"accountId": "u-alice-example-com", "limit": 3}, "q"]],
}
SETTINGS = """# what the user has written stays
[listen]
http = "127.0.0.1:0"
admin = ""
"""


ROBOT = """import asyncio, sys
from jmap_proxy.sandbox import browse
asyncio.run(browse(sys.argv[1]))
"""


@dataclass
class Newcomer:
    """Somebody who has nothing yet but an address, and a server.

    Attributes:
        config: Where the configuration is, or will be.
    """

    folder: Path
    provider: IdentityProvider
    mail: MailServer
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.config = self.folder / "config" / "config.toml"
        self.config.parent.mkdir(mode=0o700)
        self.config.write_text(SETTINGS)

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    async def start(
        self, command: str, *args: str, stdin: int = asyncio.subprocess.DEVNULL, env: Mapping[str, str] | None = None
    ) -> Program:
        """Start a command as a process."""
        environment = {
            "JMAP_PROXY_STATE": str(self.state),
            "JMAP_PROXY_CONFIG": str(self.config),
            "BROWSER": "false",
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        }
        return await Program.start(command, *args, env={**environment, **(env or {})}, stdin=stdin)

    async def login(self, *args: str, **env: str) -> Ended:
        """Run `login` for alice at this server, with the robot in the browser's place."""
        robot = self.folder / "robot.py"
        robot.write_text(ROBOT)
        browser = f"{sys.executable} {robot} %s"
        environment = {"BROWSER": browser, **env}
        program = await self.start("login", ALICE, "--server", self.mail.session_url, *args, env=environment)
        return await program.end()

    def saved(self) -> dict[str, bytes]:
        """Every file of the state and of the configuration."""
        files = [path for folder in (self.state, self.config.parent) for path in folder.rglob("*") if path.is_file()]
        return {str(path): path.read_bytes() for path in files}

    async def first_mail(self, key: str) -> list[str]:
        """The ids of some mail, asked for through the proxy by a client that has only the key."""
        program = await self.start("serve")
        origin = (await program.line()).removeprefix("listening on ")
        try:
            async with aiohttp.ClientSession(headers=basic(key)) as client:
                async with client.get(f"{origin}/.well-known/jmap") as response:
                    session = await response.json()
                assert session["username"] == ALICE
                async with client.post(session["apiUrl"], json=LIST_MAIL) as response:
                    answer = await response.json()
        finally:
            assert (await program.end(signal.SIGTERM)).code == 0
        ids: list[str] = answer["methodResponses"][0][1]["ids"]
        return ids


@asynccontextmanager
async def newcomer(
    folder: Path, shape: Callable[[str], MailSettings], settings: ProviderSettings | None = None
) -> AsyncIterator[Newcomer]:
    """Provider and mail server, and nothing else."""
    settings = settings or ProviderSettings(registration="open")
    async with (
        IdentityProvider(settings=settings) as provider,
        MailServer(provider.check, settings=shape(provider.issuer)) as mail,
    ):
        yield Newcomer(folder, provider, mail)


def local_key(ended: Ended) -> str:
    """The key that was shown."""
    (key,) = [line.removeprefix("Local key: ") for line in ended.out.splitlines() if line.startswith("Local key: ")]
    return key


@pytest.mark.parametrize(
    ("shape", "preset"),
    [(fastmail, ""), (stalwart, ""), (twake, "twake"), (cyrus, "")],
    ids=["fastmail", "stalwart", "twake", "cyrus"],
)
async def test_from_nothing_to_mail(tmp_path: Path, shape: Callable[[str], MailSettings], preset: str) -> None:
    """One command, four kinds of servers: the account is set up, and a client gets its mail.

    What the user has written in the configuration stays, and the section holds what was found.
    """
    async with newcomer(tmp_path, shape) as it:
        if shape is fastmail:
            it.provider.settings.required_resource = f"{it.mail.base_url}/jmap/session"
        ended = await it.login()
        assert ended.code == 0, ended.err
        assert f"Signed in as {ALICE}." in ended.out
        written = it.config.read_text()
        assert written.startswith(SETTINGS)
        assert f'\n[accounts."{ALICE}"]\n' in written
        assert f'issuer = "{it.provider.issuer}"' in written
        assert ("preset = " in written) == (f'preset = "{preset}"' in written) == bool(preset)
        assert all(origin in written for origin in it.mail.hosts.values())
        assert len(it.provider.registered_clients) == 1
        assert len(await it.first_mail(local_key(ended))) == 3


async def test_without_any_configuration_there_is_one_afterwards(tmp_path: Path) -> None:
    """A file for its owner alone; the ports are the usual ones."""
    async with newcomer(tmp_path, stalwart) as it:
        it.config.unlink()
        ended = await it.login()
        assert ended.code == 0, ended.err
        assert it.config.read_text().startswith(f'[accounts."{ALICE}"]\n')
        assert it.config.stat().st_mode & 0o777 == 0o600
        assert "Session URL: http://127.0.0.1:8620/.well-known/jmap" in ended.out


async def test_the_second_login_needs_the_name_only(tmp_path: Path) -> None:
    """Nothing is written to the configuration, the key stays, and the client is the one that is registered."""
    async with newcomer(tmp_path, stalwart) as it:
        key = local_key(await it.login())
        written = it.config.read_bytes()
        program = await it.start("login", ALICE, "--no-browser")
        await browse(await program.line())
        ended = await program.end()
        assert ended.code == 0, ended.err
        assert "The local key stays as it is" in ended.out
        assert it.config.read_bytes() == written
        assert len(it.provider.registered_clients) == 1
        assert len(await it.first_mail(key)) == 3


async def test_a_client_that_the_provider_forgot_is_registered_anew(tmp_path: Path) -> None:
    """The user does not see that there is such a thing."""
    async with newcomer(tmp_path, stalwart) as it:
        key = local_key(await it.login())
        it.provider.forget_clients()
        program = await it.start("login", ALICE, "--no-browser")
        assert (await browse(await program.line()))[0] == 200
        assert (await program.end()).code == 0
        assert len(await it.first_mail(key)) == 3


def wrong_person(it: Newcomer) -> None:
    """Somebody else is signed in at the provider."""
    it.provider.settings.heed_login_hint = False
    it.provider.settings.user = "bob@example.com"


def nameless_person(it: Newcomer) -> None:
    """The server does not say in words that can be compared who is signed in."""
    it.mail.settings.usernames = {ALICE: "u4711"}


def refused(it: Newcomer) -> None:
    """The user presses the other button."""
    it.provider.settings.deny = True


def unknown_resource(it: Newcomer) -> None:
    """The provider wants to know another resource."""
    it.provider.settings.required_resource = "https://other.example"


def unknown_scopes(it: Newcomer) -> None:
    """The provider does not give what it promised."""
    it.provider.settings.refuse_with = "invalid_scope"


def narrowed(it: Newcomer) -> None:
    """The user may take the rights away one by one."""
    it.provider.settings.grant_scopes = ("openid", "offline_access")


def provider_down(it: Newcomer) -> None:
    """It has trouble of its own."""
    it.provider.faults.add("metadata", Fault(status=503, count=-1))


def provider_falls(it: Newcomer) -> None:
    """It has trouble only when it is too late to say so in the browser."""
    it.provider.faults.add("token", Fault(status=503, count=-1))


def no_registration(it: Newcomer) -> None:
    """Clients are registered by hand there."""
    it.provider.settings.registration = "off"


def registration_refused(it: Newcomer) -> None:
    """Or not this one."""
    it.provider.settings.registration_refusal = "invalid_client_metadata"


def no_provider(it: Newcomer) -> None:
    """The server does not name one."""
    it.mail.settings.protected_resource = None


def two_providers(it: Newcomer) -> None:
    """The server names two."""
    it.mail.settings.protected_resource = {"authorization_servers": [it.provider.issuer, "https://sso.example"]}


def for_anybody(it: Newcomer) -> None:
    """The server lets in whoever comes."""
    it.mail.settings.anonymous_session = False
    it.mail.settings.open_session = True


def only_pages(it: Newcomer) -> None:
    """There is a web site, and no mail."""
    it.mail.settings.only_pages = True


def no_jmap(it: Newcomer) -> None:
    """There is a server, but without JMAP."""
    it.mail.faults.add("session", Fault(status=404, count=-1))


def token_of_no_use(it: Newcomer) -> None:
    """The server does not want what the provider gives."""
    it.mail.refuse_all = True


@pytest.mark.parametrize(
    ("trouble", "code", "told", "hint"),
    [
        (wrong_person, 77, "that of 'bob@example.com', not of alice@example.com", "jmap-proxy login bob@example.com"),
        (nameless_person, 77, "that of 'u4711', not of alice@example.com", "jmap-proxy login NAME --server URL"),
        (refused, 77, "the sign-in was refused (access_denied)", "agree"),
        (unknown_resource, 77, "the provider refuses the resource (invalid_target)", 'resource = "none"'),
        (unknown_scopes, 77, "the provider refuses the scopes (invalid_scope)", "scopes"),
        (narrowed, 77, f"did not grant the scope for mail ({MAIL_SCOPE})", "agree"),
        (provider_down, 69, "no metadata for issuer", ""),
        (provider_falls, 77, "the provider did not give tokens", ""),
        (no_registration, 77, "lets no client register itself", "--client-id"),
        (registration_refused, 77, "invalid_client_metadata", "--client-id"),
        (no_provider, 69, "does not say which identity provider", "--issuer"),
        (two_providers, 69, "https://sso.example", "--issuer"),
        (for_anybody, 69, "gives mail to anybody", "needs no proxy"),
        (only_pages, 69, "no JMAP Session", "--server"),
        (no_jmap, 69, "there is no JMAP at", "--server"),
        (token_of_no_use, 69, "refuses the token that the provider has just given", "scopes"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_nothing_is_saved_of_what_fails(
    tmp_path: Path, trouble: Callable[[Newcomer], None], code: int, told: str, hint: str
) -> None:
    """Each in words of its own, with a way out; and nobody is left with a grant or a client that is of no use."""
    async with newcomer(tmp_path, stalwart) as it:
        it.mail.settings.protected_resource = {
            "authorization_servers": [it.provider.issuer],
            "scopes_supported": [MAIL_SCOPE],
        }
        trouble(it)
        before = it.saved()
        ended = await it.login()
        assert (ended.code, ended.out) == (code, ""), ended.err
        assert told in ended.err
        assert hint in ended.err.partition("hint: ")[2]
        assert it.saved() == before
        assert it.provider.registered_clients == []
        given = [request for request in it.provider.token_requests if request.outcome == "ok"]
        assert len(it.provider.revocations) == len(given)


async def test_an_unknown_server_is_told(tmp_path: Path) -> None:
    """Nobody listens there, or there is no such name."""
    async with newcomer(tmp_path, stalwart) as it:
        before = it.saved()
        for url, told in (
            (f"http://127.0.0.1:{free_port()}", "nothing answers at"),
            ("https://mail.invalid", "the name mail.invalid is not known"),
        ):
            ended = await (await it.start("login", ALICE, "--server", url)).end()
            assert (ended.code, ended.out) == (69, "")
            assert told in ended.err
        assert it.saved() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_closed_browser_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """The user gives up, or closes the terminal: no file, and no client that stays registered."""
    async with newcomer(tmp_path, stalwart) as it:
        before = it.saved()
        program = await it.start("login", ALICE, "--server", it.mail.session_url, "--no-browser")
        assert (await program.line()).startswith(it.provider.issuer)
        assert len(it.provider.registered_clients) == 1
        ended = await program.end(number)
        assert ended.code in {130, -number}
        assert it.saved() == before
        assert it.provider.registered_clients == []


async def test_on_another_device(tmp_path: Path) -> None:
    """The code and where to enter it are shown; in a pipe, nothing else."""
    settings = ProviderSettings(registration="open", device=True, device_interval=1, user=ALICE)
    async with newcomer(tmp_path, stalwart, settings) as it:
        program = await it.start("login", ALICE, "--server", it.mail.session_url, "--device")
        place = (await program.line()).removeprefix("Open this on any device: ")
        code = (await program.line()).removeprefix("and enter this code:").strip()
        assert (await browse(place, typed=code))[0] == 200
        ended = await program.end()
        assert ended.code == 0, ended.err
        assert len(await it.first_mail(local_key(ended))) == 3


async def test_with_a_browser_elsewhere(tmp_path: Path) -> None:
    """Its last page fails to load; the address of that page is pasted, after something else that was not it."""
    async with newcomer(tmp_path, stalwart) as it:
        program = await it.start(
            "login", ALICE, "--server", it.mail.session_url, "--paste", stdin=asyncio.subprocess.PIPE
        )
        url = await program.line()
        async with aiohttp.ClientSession() as browser, browser.get(url, allow_redirects=False) as response:
            pasted = response.headers["Location"]
        assert program.process.stdin is not None
        program.process.stdin.write(f"what?\n{pasted}\n".encode())
        await program.process.stdin.drain()
        ended = await program.end()
        assert ended.code == 0, ended.err
        assert len(await it.first_mail(local_key(ended))) == 3


async def test_without_a_user(tmp_path: Path) -> None:
    """A client that signs in by itself needs no browser; its secret is in a file of its own."""
    settings = ProviderSettings(client_secret="s3cret", user=ALICE)
    async with newcomer(tmp_path, stalwart, settings) as it:
        secret = tmp_path / "secret"
        secret.write_text("s3cret\n")
        secret.chmod(0o600)
        with it.config.open("a") as file:
            file.write(
                f'[accounts.robot]\nserver = "{it.mail.base_url}"\nclient_id = "jmap-proxy"\n'
                f'client_secret_file = "{secret}"\nsign_in = "client_credentials"\n'
            )
        ended = await (await it.start("login", "robot")).end()
        assert ended.code == 0, ended.err
        assert it.provider.authorize_requests == []
        assert "s3cret" not in ended.out + ended.err

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.asyncresolver
import pytest

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.config_writing import ConfigFile
from jmap_proxy.cli.new_account import Wanted, allowances, set_up
from jmap_proxy.cli.signing_in import SignedIn, by_browser, sign_in
from jmap_proxy.config import Account, Config, load_config
from jmap_proxy.errors import ConfigError, DiscoveryError, StoreError
from jmap_proxy.origins import parse_origin
from jmap_proxy.sandbox import IdentityProvider, MailServer
from jmap_proxy.sandbox.shapes import fastmail, stalwart
from tests.support.certificates import private_authority
from tests.support.dns_server import DnsServer
from tests.support.robot import RobotBrowser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

ALICE = "alice@example.com"


@dataclass
class Place:
    """A domain whose mail server is found by DNS and speaks https, its provider, and a folder for alice's files."""

    folder: Path
    provider: IdentityProvider
    mail: MailServer
    names: DnsServer

    @property
    def config(self) -> Path:
        """Where the configuration will be."""
        return self.folder / "etc" / "config.toml"

    def assembly(self) -> Assembly:
        """The parts; the name server is the domain's."""

        def resolver() -> dns.asyncresolver.Resolver:
            resolver = dns.asyncresolver.Resolver(configure=False)
            resolver.nameservers, resolver.port = ["127.0.0.1"], self.names.port
            return resolver

        return Assembly(Config(), self.folder / "state", resolver=resolver)

    async def sign_in(self, wanted: Wanted, meanwhile: Callable[[], object] = lambda: None) -> SignedIn:
        """Set the account up and sign it in; something may happen while the user is in the browser."""
        browser = RobotBrowser()

        def show(url: str) -> None:
            meanwhile()
            browser.open(url)

        async with self.assembly() as assembly:
            new, found = await set_up(assembly, wanted, ConfigFile(self.config), "")
            async with assembly.branch(new.config()) as branch:
                try:
                    return await sign_in(branch, new.name, by_browser(show), found=found, new=new)
                finally:
                    await browser.pages()

    @property
    def tokens(self) -> Path:
        """Where alice's tokens are, or will be."""
        return self.folder / "state" / "tokens" / f"{ALICE}.jwe"


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """Such a domain; this machine trusts its authority."""
    ca_file, context = private_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    async with (
        IdentityProvider() as provider,
        MailServer(provider.check, settings=stalwart(provider.issuer), ssl_context=context) as mail,
        DnsServer() as names,
    ):
        names.add("_jmap._tcp.example.com", "SRV", f"0 1 {parse_origin(mail.base_url).port} 127.0.0.1.")
        yield Place(tmp_path, provider, mail, names)


async def test_an_address_is_all(place: Place) -> None:
    """DNS, TLS, the server's and the provider's metadata: the account is signed in and its section can be read."""
    signed_in = await place.sign_in(Wanted(who=ALICE, client_id="jmap-proxy"))
    assert signed_in.username == ALICE
    account = load_config(place.config).account(ALICE)
    assert account == Account(server=place.mail.base_url, issuer=place.provider.issuer, client_id="jmap-proxy")
    assert place.tokens.exists()


async def test_the_name_is_the_users_choice(place: Place) -> None:
    """And so are provider and server; a name alone says nothing of who has to sign in."""
    wanted = Wanted(
        who="work", server=place.mail.base_url, issuer=place.provider.issuer, client_id="jmap-proxy", preset="cyrus"
    )
    assert (await place.sign_in(wanted)).username == "demo"
    account = load_config(place.config).account("work")
    assert (account.server, account.preset) == (place.mail.base_url, "cyrus")
    assert place.names.queries == []


async def test_further_hosts_are_allowed_and_told(tmp_path: Path) -> None:
    """What the first Session names, the account may use."""
    async with (
        IdentityProvider() as provider,
        MailServer(provider.check, settings=fastmail(provider.issuer)) as mail,
        DnsServer() as names,
    ):
        place = Place(tmp_path, provider, mail, names)
        signed_in = await place.sign_in(Wanted(who=ALICE, server=mail.base_url, client_id="jmap-proxy"))
        hosts = set(mail.hosts.values())
        assert set(load_config(place.config).account(ALICE).upstream_origins) == hosts
        assert all(host in signed_in.notes[0] for host in hosts)


async def test_the_configuration_is_as_before_if_the_tokens_cannot_be_saved(place: Place) -> None:
    """It is written first; both or none."""
    with pytest.raises(StoreError):
        await place.sign_in(Wanted(who=ALICE, client_id="jmap-proxy"), lambda: place.tokens.mkdir(parents=True))
    assert not place.config.exists()
    assert len(place.provider.revocations) == 1


async def test_a_configuration_that_became_wrong_meanwhile_is_told(place: Place) -> None:
    """The tokens are not saved then either."""

    def spoil() -> None:
        place.config.parent.mkdir()
        place.config.write_text("[listen")

    with pytest.raises(ConfigError, match="not TOML"):
        await place.sign_in(Wanted(who=ALICE, client_id="jmap-proxy"), spoil)
    assert place.config.read_text() == "[listen"
    assert not place.tokens.exists()
    assert len(place.provider.revocations) == 1


async def test_a_configuration_that_cannot_be_written_is_told_before_the_sign_in(place: Place) -> None:
    """With the section to paste."""
    place.config.parent.write_text("no folder")
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        async with place.assembly() as assembly:
            await set_up(assembly, Wanted(who=ALICE, client_id="jmap-proxy"), ConfigFile(place.config), "")
    assert f'server = "{place.mail.base_url}"' in caught.value.hint
    assert place.provider.authorize_requests == []


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted(who=ALICE, preset="hotmail"), "no preset 'hotmail'"),
        (Wanted(who=ALICE, server="mail.example.com"), "accounts.*server"),
        (Wanted(who=ALICE, server="http://mail.example.com"), "plain http"),
        (Wanted(who="a b", server="https://mail.example.com"), "'a b' cannot be the name of an account"),
    ],
)
def test_what_cannot_become_an_account_is_told(wanted: Wanted, told: str) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError, match=told):
        wanted.account()


def test_a_preset_may_know_the_server() -> None:
    """Fastmail has one; others need theirs to be named or found."""
    account = Wanted(who=ALICE, preset="fastmail").account()
    assert account is not None
    assert account.session_url == "https://api.fastmail.com/jmap/session"
    assert Wanted(who=ALICE, preset="stalwart").account() is None
    assert Wanted(who=ALICE).account() is None


def test_who_has_to_sign_in() -> None:
    """The one whose address is given; what looks like one and is none is told."""
    assert str(Wanted(who=ALICE, name="work").person) == ALICE
    assert Wanted(who="work").person is None
    with pytest.raises(DiscoveryError):
        _ = Wanted(who="alice@exa mple").person


@pytest.mark.parametrize(
    ("server", "named", "keys"),
    [
        ("https://mail.example.com", [], {}),
        ("https://mail.example.com", ["https://b.example.com"], {"upstream_origins": ["https://b.example.com"]}),
        ("https://mail.example.com", ["http://b.example.com"], {}),
        ("https://mail.example.com", ["http://localhost", "https://b.example.com"], {"rewrite": "force"}),
        ("https://mail.example.com", ["https://127.0.0.1"], {"rewrite": "force"}),
        ("http://127.0.0.1:1", ["http://127.0.0.1:2"], {"upstream_origins": ["http://127.0.0.1:2"]}),
        ("https://mail.example.com", ["https://192.168.1.1", "https://[fd00::1]", "https://169.254.169.254"], {}),
        ("https://192.168.1.1", ["https://192.168.1.2"], {"upstream_origins": ["https://192.168.1.2"]}),
    ],
)
def test_what_a_session_may_name(server: str, named: list[str], keys: dict[str, object]) -> None:
    """Further hosts over TLS; never plain http, and nothing here or in this network if the server is elsewhere."""
    allowed, notes = allowances(Account(server=server), map(parse_origin, named))
    assert allowed == keys
    assert len(notes) == bool(keys)


def test_what_is_allowed_already_stays_so() -> None:
    """A preset's patterns are kept, and what they hold is not named again."""
    account = Account(server="https://api.fastmail.com", upstream_origins=("https://*.fastmail.com",))
    named = [parse_origin("https://phl.api.fastmail.com"), parse_origin("https://other.example")]
    assert allowances(account, named)[0] == {"upstream_origins": ["https://*.fastmail.com", "https://other.example"]}
    assert allowances(account, named[:1]) == ({}, ())

from __future__ import annotations

import ast
import configparser
import shlex
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.clients import clients
from jmap_proxy.clients.settings import NO_ADDRESS, NO_KEY, Who, notes, render, way_for
from jmap_proxy.clients.ways_in import WayIn
from jmap_proxy.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

HTTP = WayIn("http", "http://127.0.0.1:8620", needs_key=True)
HTTPS = WayIn("https", "https://127.0.0.1:8621", needs_key=True, ca_file="/a b/ca.pem")
OWN_HTTPS = WayIn("https", "https://mail.lan:8621", needs_key=True)
UNIX = WayIn("unix", "http://localhost", needs_key=False, path="/a b/p.sock")
EVERY = (HTTP, HTTPS, UNIX)
KEY = "cat '/home/al ice/k.key'"
ALICE = Who("alice", "alice@example.com", KEY)
AWKWARD = Who("a[\"'$`%{{x}}\\]é@b", "a\"'$`%{{x}}\\:/?#é@b", "pass 'a\"b\\c'")

NODE = shutil.which("node")


def rendered(name: str, who: Who = ALICE, ways: tuple[WayIn, ...] = EVERY) -> str:
    """The client's settings by the best of the ways."""
    client = clients()[name]
    return render(client, who, way_for(name, client, ways))


def toml(name: str, who: Who = ALICE, ways: tuple[WayIn, ...] = EVERY) -> dict[str, Any]:
    """The same, read back."""
    return tomllib.loads(rendered(name, who, ways))


def literals(source: str) -> list[Any]:
    """The constants of a Python program, in order."""
    constants = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return [node.value for node in sorted(constants, key=lambda node: (node.lineno, node.col_offset))]


@pytest.mark.parametrize("who", [ALICE, AWKWARD])
def test_aerc(who: Who) -> None:
    """An account of accounts.conf, without the key, by https."""
    parser = configparser.ConfigParser(interpolation=None, delimiters="=")
    parser.read_string(rendered("aerc", who))
    (section,) = parser.sections()
    assert section == ("alice" if who is ALICE else "a--------x----é@b")
    account = parser[section]
    source = urlsplit(account["source"])
    place = (source.scheme, source.hostname, source.port, source.path)
    assert place == ("jmap", "127.0.0.1", 8621, "/.well-known/jmap")
    assert unquote(source.username or "") == who.user
    assert source.password is None
    assert account["source-cred-cmd"] == who.key_command
    assert (account["outgoing"], account["from"]) == ("jmap://", who.user)


@pytest.mark.parametrize("who", [ALICE, AWKWARD])
def test_mujmap(who: Who) -> None:
    """Plain http: it has its own list of authorities."""
    assert toml("mujmap", who) == {
        "username": who.user,
        "password_command": who.key_command,
        "session_url": "http://127.0.0.1:8620/.well-known/jmap",
    }


@pytest.mark.parametrize("who", [ALICE, AWKWARD])
def test_meli(who: Who) -> None:
    """It puts the well-known path behind the origin by itself."""
    (account,) = toml("meli", who)["accounts"].values()
    assert account == {
        "root_mailbox": "INBOX",
        "format": "jmap",
        "identity": who.user,
        "server_url": "http://127.0.0.1:8620",
        "server_username": who.user,
        "server_password_command": who.key_command,
        "send_mail": "server_submission",
    }


@pytest.mark.parametrize("who", [ALICE, AWKWARD])
@pytest.mark.parametrize("way", [HTTP, HTTPS])
def test_himalaya(who: Who, way: WayIn) -> None:
    """The whole Session URL, and by https the authority."""
    (account,) = toml("himalaya", who, (way,))["accounts"].values()
    basic = {"username": who.user, "password": {"command": who.key_command}}
    tls = {"tls": {"cert": "/a b/ca.pem"}} if way is HTTPS else {}
    assert account == {"jmap": {"server": way.session_url, "auth": {"basic": basic}, **tls}}


@pytest.mark.parametrize("who", [ALICE, AWKWARD])
def test_jmapc(who: Who) -> None:
    """Host and port; the authority by the environment of requests."""
    constants = literals(rendered("jmapc", who))
    assert constants == ["REQUESTS_CA_BUNDLE", "/a b/ca.pem", who.key_command, True, True, "127.0.0.1:8621", who.user]
    assert "REQUESTS_CA_BUNDLE" not in rendered("jmapc", ways=(OWN_HTTPS,))


@pytest.mark.parametrize("who", [ALICE, AWKWARD])
def test_jmaplib(who: Who) -> None:
    """The whole Session URL; the authority, where there is one, by the environment of httpx."""
    assert literals(rendered("jmaplib", who)) == [who.key_command, True, True, HTTP.session_url, who.user]
    by_https = ["SSL_CERT_FILE", "/a b/ca.pem", who.key_command, True, True, HTTPS.session_url, who.user]
    assert literals(rendered("jmaplib", who, (HTTPS,))) == by_https


def test_fastmail_cli() -> None:
    """Three variables, of which the shell makes the very values."""
    text = rendered("fastmail-cli", Who("alice", "alice", "echo 'k  ey'"))
    told = 'printf "%s|%s|%s" "$JMAP_HOST" "$JMAP_API_TOKEN" "$REQUESTS_CA_BUNDLE"'
    argv = ["/bin/sh", "-c", text + told]
    out = subprocess.run(argv, capture_output=True, text=True, check=True)  # noqa: S603 - what is tested
    assert out.stdout == "127.0.0.1:8621|k  ey|/a b/ca.pem"


@pytest.mark.skipif(NODE is None, reason="needs node")
@pytest.mark.parametrize("who", [ALICE, AWKWARD])
@pytest.mark.parametrize("way", [HTTP, HTTPS])
def test_jmap_jam(who: Who, way: WayIn, tmp_path: Path) -> None:
    """A module that Node understands; the authority is told before it starts."""
    text = rendered("jmap-jam", who, (way,))
    (tmp_path / "client.mjs").write_text(text, encoding="utf-8")
    subprocess.run([str(NODE), "--check", "client.mjs"], cwd=tmp_path, check=True)  # noqa: S603 - what is tested
    assert f'sessionUrl: "{way.session_url}"' in text
    assert ("NODE_EXTRA_CA_CERTS='/a b/ca.pem' node" in text) is (way is HTTPS)


def test_ltt_rs() -> None:
    """What is typed into the app; the key is not there."""
    assert rendered("ltt.rs").splitlines() == [
        "E-mail address: alice@example.com",
        f"Password: the output of: {KEY}",
        "Connection URL: https://127.0.0.1:8621/.well-known/jmap",
    ]


def test_curl() -> None:
    """By http, else by the Unix socket, else by https; the key is no argument, which others could see."""
    by_http, by_unix, by_https = (shlex.split(rendered("curl", ways=(way,))) for way in (HTTP, UNIX, HTTPS))
    assert by_http[-7:] == ["curl", "--silent", "--show-error", "--fail", "--header", "@-", HTTP.session_url]
    assert by_unix[-3:] == ["--unix-socket", "/a b/p.sock", "http://localhost/.well-known/jmap"]
    assert by_https[-3:] == ["--cacert", "/a b/ca.pem", HTTPS.session_url]
    assert KEY in rendered("curl")
    assert KEY not in "".join(by_http[by_http.index("curl") :])


@pytest.mark.parametrize("name", sorted(set(clients()) - {"ltt.rs"}))
def test_where_no_key_is_needed_none_is_read(name: str) -> None:
    """A client that has to show something shows a word."""
    way = WayIn("https", "https://127.0.0.1:8621", needs_key=False)
    assert KEY not in rendered(name, ways=(way,))
    assert NO_KEY in rendered(name, ways=(way,))
    assert "no local key is needed there" in notes(clients()[name], ALICE, way)


@pytest.mark.parametrize(
    ("name", "ways", "what", "mend"),
    [
        ("aerc", (HTTP, UNIX), "https only", "jmap-proxy cert"),
        ("jmapc", (HTTP,), "https only", 'https = "127.0.0.1:8621"'),
        ("mujmap", (HTTPS,), "cannot be made to trust", 'http = "127.0.0.1:8620"'),
        ("mujmap", (UNIX,), "http and https are off", 'http = "127.0.0.1:8620"'),
        ("curl", (), "http and unix and https are off", 'http = "127.0.0.1:8620"'),
    ],
)
def test_what_is_missing_is_told_with_its_mend(name: str, ways: tuple[WayIn, ...], what: str, mend: str) -> None:
    """No settings that could not work."""
    with pytest.raises(ConfigError, match=what) as caught:
        way_for(name, clients()[name], ways)
    assert mend in caught.value.hint


def test_a_public_certificate_is_good_for_all() -> None:
    """Even for a client that trusts its own list alone."""
    assert way_for("mujmap", clients()["mujmap"], (OWN_HTTPS,)) is OWN_HTTPS


def test_an_unknown_address_is_asked_for() -> None:
    """It is not made up from the account's name."""
    who = Who("alice", "alice", KEY)
    assert f"from = {NO_ADDRESS}\n" in rendered("aerc", who)
    assert any(NO_ADDRESS in note for note in notes(clients()["aerc"], who, HTTPS))
    assert not any(NO_ADDRESS in note for note in notes(clients()["mujmap"], who, HTTP))
    assert not any(NO_ADDRESS in note for note in notes(clients()["aerc"], ALICE, HTTPS))


def test_a_client_that_trusts_what_the_system_trusts() -> None:
    """It is said once there is an authority of our own."""
    said = "make the system trust the authority first; jmap-proxy cert says how"
    assert said in notes(clients()["meli"], ALICE, HTTPS)
    assert said not in notes(clients()["meli"], ALICE, HTTP)
    assert said not in notes(clients()["himalaya"], ALICE, HTTPS)


@pytest.mark.parametrize("name", clients())
@pytest.mark.parametrize("bad", ["a\nb", "a\x00b", "a\u2028b", "\udc80"])
def test_a_line_cannot_be_smuggled_in(name: str, bad: str) -> None:
    """What breaks lines, or cannot be seen, is refused in every value."""
    for who in (Who("alice", bad, KEY), Who("alice", "alice", bad)):
        with pytest.raises(ConfigError, match="cannot be shown"):
            rendered(name, who)


PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1)


@given(user=PRINTABLE, command=PRINTABLE)
def test_every_value_survives_its_format(user: str, command: str) -> None:
    """Whatever it holds, the client reads it as it is."""
    who = Who("alice", user, command)
    assert toml("mujmap", who)["username"] == user
    assert toml("mujmap", who)["password_command"] == command
    assert literals(rendered("jmaplib", who))[0] == command
    assert literals(rendered("jmaplib", who))[-1] == user
    source = next(line for line in rendered("aerc", who).splitlines() if line.startswith("source = "))
    assert unquote(urlsplit(source.removeprefix("source = ")).username or "") == user

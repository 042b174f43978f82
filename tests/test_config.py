from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.config import Config, Limits, Listen, Store, load_config, parse_config
from jmap_proxy.errors import ConfigError
from jmap_proxy.origins import parse_origin

NEEDED = 'server = "https://mail.example.com"\nissuer = "https://sso.example.com"\nclient_id = "jmap-proxy"\n'
ALICE = f"[accounts.alice]\n{NEEDED}"
EVERY_KEY = """
[listen]
http  = "127.0.0.1:8620"
https = "0.0.0.0:8621"
admin = ""
cert_file = "cert.pem"
key_file = "key.pem"
hosts = ["mail.local"]

[accounts.alice]
server    = "https://mail.example.com/jmap/session"
issuer    = "https://sso.example.com"
client_id = "jmap-proxy"
client_secret_file = "secret"
scopes    = ["openid", "mail"]
resource  = "https://mail.example.com"
ca_file   = "ca.pem"
upstream_origins = ["https://blobs.example.com/"]
rewrite   = "force"
local_auth = "key"

[store]
kind = "file"
key  = "file"

[limits]
upload_replay = 0
shutdown = 5
"""


def test_every_key_is_taken() -> None:
    """All keys of the contract come out as they were written."""
    config = parse_config(EVERY_KEY)
    assert config.listen.hosts == ("mail.local",)
    assert config.store == Store(kind="file", key="file")
    assert config.limits == Limits(upload_replay=0, shutdown=5.0)
    alice = config.account("alice")
    assert (alice.client_secret_file, alice.resource, alice.ca_file) == ("secret", "https://mail.example.com", "ca.pem")
    assert (alice.scopes, alice.rewrite, alice.local_auth) == (("openid", "mail"), "force", "key")


def test_defaults() -> None:
    """An account needs its server; everything else has the default of the contract, or is found at the sign-in."""
    config = parse_config(ALICE)
    assert config.listen == Listen(http="127.0.0.1:8620", https="", admin="127.0.0.1:8622")
    assert config.store == Store(kind="file", key="auto")
    alice = config.account("alice")
    assert alice.scopes is None
    assert (alice.preset, alice.client_auth, alice.sign_in) == ("", "auto", "user")
    assert (alice.client_secret_file, alice.resource, alice.ca_file, alice.upstream_origins) == ("", "", "", ())
    assert (alice.rewrite, alice.local_auth) == ("map", "key")
    assert parse_config("") == Config()


@pytest.mark.parametrize(
    ("server", "session"),
    [
        ("https://mail.example.com", "https://mail.example.com/.well-known/jmap"),
        ("https://mail.example.com/", "https://mail.example.com/.well-known/jmap"),
        ("https://mail.example.com:8443/jmap", "https://mail.example.com:8443/jmap"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/.well-known/jmap"),
    ],
)
def test_where_the_session_is(server: str, session: str) -> None:
    """A base URL means its well-known place, a full URL means itself."""
    config = parse_config(ALICE.replace("https://mail.example.com", server))
    assert config.account("alice").session_url == session


def test_who_may_get_the_token() -> None:
    """The server's origin and those named besides, nothing else."""
    origins = parse_config(EVERY_KEY).account("alice").allowed_origins
    assert origins.exact == {parse_origin("https://mail.example.com"), parse_origin("https://blobs.example.com")}
    assert origins.patterns == ()


def test_origins_may_be_named_by_a_pattern() -> None:
    """All below a name, and still nothing else."""
    config = parse_config(f'{ALICE}upstream_origins = ["https://*.example.net"]')
    origins = config.account("alice").allowed_origins
    assert parse_origin("https://shard.example.net") in origins
    assert parse_origin("https://mail.example.com") in origins
    assert parse_origin("https://shard.example.com") not in origins


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x = 1", "there is no key x"),
        ("[listen]\nhtp = ''", "there is no key listen.htp"),
        ("[listen]\nhttp = 8620", "listen.http: "),
        ("[listen]\nhttp = 'localhost'", "listen.http: 'localhost' is not host:port"),
        ("[listen]\nhttp = '0.0.0.0:8620'", "listen.http: 0.0.0.0: plain http only on this machine"),
        ("[listen]\nadmin = '192.168.1.1:80'", "listen.admin: 192.168.1.1: plain http only on this machine"),
        ("[listen]\nhttp = ''", "there is no way in"),
        ("[listen]\nadmin = '127.0.0.1:8620'", "listen.admin and listen.http have the same address"),
        ("accounts = 1", "accounts: "),
        ("[accounts]\nalice = 1", "accounts.alice: Expected `object`"),
        ("[accounts.alice]", "accounts.alice.server is missing"),
        (f"{ALICE}tokn = 1", "there is no key accounts.alice.tokn"),
        (f"{ALICE}scopes = 'mail'", "accounts.alice.scopes: "),
        (f"{ALICE}rewrite = 'no'", "accounts.alice.rewrite: "),
        (f"{ALICE}scopes = ['open id']", "accounts.alice.scopes: each scope is one word"),
        (f"{ALICE}scopes = ['']", "accounts.alice.scopes"),
        (f'{ALICE}scopes = ["a\\nb"]', "accounts.alice.scopes"),
        (f"{ALICE}upstream_origins = ['https://m.example/x']", "accounts.alice.upstream_origins.0.: it has a path"),
        (f"{ALICE}upstream_origins = ['http://m.example']", "accounts.alice.upstream_origins.0.: .*plain http"),
        (f"{ALICE}upstream_origins = ['https://a.example', 'https://*.com']", "upstream_origins.1.: .*one owner"),
        (f"{ALICE}upstream_origins = ['https://me:pw@m.example']", r"upstream_origins.0.: not an absolute[^@]*$"),
        (ALICE.replace("https://mail", "http://mail"), "accounts.alice.server: .*plain http"),
        (ALICE.replace("https://sso", "http://sso"), "accounts.alice.issuer: .*plain http"),
        (ALICE.replace("https://mail", "mail"), "accounts.alice.server: not an absolute"),
        (ALICE.replace("mail.example.com", "mail.example.com/ü"), "accounts.alice.server: .*character"),
        (ALICE.replace("mail.example.com", "mail.example.com/#x"), "accounts.alice.server: .*character"),
        (ALICE + 'client_secret_file = "s"\nclient_key_file = "k"', "accounts.alice: .*exclude each other"),
        (ALICE + 'client_auth = "private_key_jwt"', "accounts.alice.client_auth: .*needs client_key_file"),
        (ALICE + 'client_auth = "client_secret_post"', "accounts.alice.client_auth: .*needs client_secret_file"),
        (
            ALICE + 'client_auth = "client_secret_basic"\nclient_key_file = "k"',
            "client_auth: .*needs client_secret_file",
        ),
        (ALICE + 'sign_in = "client_credentials"', "accounts.alice.sign_in: .*RFC 6749 §4.4"),
        (ALICE.replace('client_id = "jmap-proxy"', 'client_secret_file = "s"'), "accounts.alice.client_id is missing"),
        (ALICE + 'preset = "hotmail"', "accounts.alice.preset: .*hotmail"),
        (ALICE + "preset = 1", "accounts.alice.preset"),
        (f'[accounts."a.b"]\n{NEEDED}rewrite = 1', r'accounts."a\.b"\.rewrite'),
        (f'[accounts."a/b"]\n{NEEDED}', "cannot be the name of an account"),
        (f'[accounts."ab\\n"]\n{NEEDED}', "cannot be the name of an account"),
        (f'[accounts.""]\n{NEEDED}', "cannot be the name of an account"),
        ("[store]\nkind = 'cloud'", "store.kind: "),
        ("[store]\nkey = 'none'", "store.key: "),
        ("[limits]\nupload_replay = -1", "limits.upload_replay: "),
        ("[limits]\nshutdown = inf", "limits.shutdown: "),
        ("[listen", "not TOML"),
        ("a = 1\na = 2", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    """The error names the file and the key."""
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"(?s){path}: .*{told}"):
        load_config(path)


def test_files_are_taken_to_be_beside_the_configuration(tmp_path: Path) -> None:
    """A relative file name does not depend on where the program is started; "~" and absolute names stay."""
    text = EVERY_KEY.replace('"key.pem"', '"~/key.pem"').replace('"secret"', '"/secret"')
    (tmp_path / "config.toml").write_text(text)
    config = load_config(tmp_path / "config.toml")
    assert (config.listen.cert_file, config.listen.key_file) == (str(tmp_path / "cert.pem"), "~/key.pem")
    assert config.account("alice").ca_file == str(tmp_path / "ca.pem")
    assert config.account("alice").client_secret_file == "/secret"


def test_secrets_do_not_stand_in_the_configuration() -> None:
    """A client secret is refused with the place where it belongs, and not repeated."""
    with pytest.raises(ConfigError, match="client_secret") as caught:
        parse_config(f"{ALICE}client_secret = 'hunter2'")
    assert "client_secret_file" in caught.value.hint
    assert "hunter2" not in str(caught.value.problem())


def test_a_password_in_a_url_is_not_repeated() -> None:
    """User info is refused by an error that does not tell it."""
    with pytest.raises(ConfigError, match=r"accounts\.alice\.server") as caught:
        parse_config(ALICE.replace("https://mail", "https://ann:hunter2@mail"))
    assert "hunter2" not in str(caught.value.problem())


@pytest.mark.parametrize("name", ["mail.lan:8621", "https://mail.lan", "mail.lan/x", "", "a b", "*"])
def test_further_names_are_host_names(name: str) -> None:
    """A name that no Host could ever match is told, not ignored."""
    with pytest.raises(ConfigError, match=r"listen\.hosts"):
        parse_config(f'[listen]\nhosts = ["{name}"]')


@pytest.mark.parametrize("name", ["mail.lan", "192.168.1.2", "fd00::2", "[fd00::2]"])
def test_further_names_may_be_addresses(name: str) -> None:
    """Names and addresses of both kinds."""
    assert parse_config(f'[listen]\nhosts = ["{name}"]').listen.hosts == (name,)


@pytest.mark.parametrize("origin", ["*", "null", "", "localhost:3000", "http://mail.lan", "https://mail.lan/x"])
def test_web_origins_are_exact_origins(origin: str) -> None:
    """One that no browser would send, or that anybody on the network could take, is told."""
    with pytest.raises(ConfigError, match=r"listen\.web_origins\[1\]") as caught:
        parse_config(f'[listen]\nweb_origins = ["http://localhost:3000", "{origin}"]')
    assert "http://localhost:3000" in caught.value.hint


def test_web_origins_are_compared_as_browsers_write_them() -> None:
    """However the user has written them."""
    listen = parse_config('[listen]\nweb_origins = ["HTTPS://Mail.Example.com:443/", "http://[::0:1]:3000"]').listen
    assert listen.allowed_web_origins == {"https://mail.example.com", "http://[::1]:3000"}


def test_open_accounts_stay_on_this_machine() -> None:
    """Without a local key there is one account at most, and no listener that others can reach."""
    bob = f"[accounts.bob]\n{NEEDED}local_auth = 'none'\n"
    assert parse_config(bob).account("bob").local_auth == "none"
    with pytest.raises(ConfigError, match="only one account can have local_auth none, not alice and bob") as caught:
        parse_config(f"{ALICE}local_auth = 'none'\n{bob}")
    assert "ports of their own" in caught.value.hint
    with pytest.raises(ConfigError, match="every account needs a key"):
        parse_config(f"[listen]\nhttps = '0.0.0.0:8621'\n{bob}")


def test_open_accounts_may_have_ports_of_their_own() -> None:
    """Each is open there alone: so there can be several, and others may reach the shared https."""
    bob = f"[accounts.bob]\n{NEEDED}local_auth = 'none'\nlisten = '127.0.0.1:8630'\n"
    carol = f"[accounts.carol]\n{NEEDED}local_auth = 'none'\nlisten = '[::1]:8630'\n"
    config = parse_config(f"[listen]\nhttps = '0.0.0.0:8621'\n{ALICE}{bob}{carol}")
    assert config.open_accounts == []
    assert parse_config(f"{ALICE}local_auth = 'none'\n{bob}{carol}").open_accounts == ["alice"]


@pytest.mark.parametrize("listen", ["0.0.0.0:8630", "192.168.1.2:8630", "mail.lan:8630", "[::]:8630"])
def test_an_accounts_own_port_stays_on_this_machine(listen: str) -> None:
    """It is plain http."""
    with pytest.raises(ConfigError, match=r"accounts\.alice\.listen: .*plain http only on this machine"):
        parse_config(f"{ALICE}listen = '{listen}'")


def test_an_accounts_own_port_is_nobody_elses() -> None:
    """The error names both keys."""
    with pytest.raises(ConfigError, match=r"accounts\.alice\.listen and listen\.http have the same address"):
        parse_config(f"{ALICE}listen = '127.0.0.1:8620'")


@pytest.mark.parametrize("way", ["unix = 'jmap-proxy.sock'", "https = '127.0.0.1:8621'"])
def test_one_way_in_is_enough(way: str) -> None:
    """A Unix socket, https or an account's own port."""
    assert parse_config(f"[listen]\nhttp = ''\n{way}").listen.http == ""
    assert parse_config(f"[listen]\nhttp = ''\n{ALICE}listen = '127.0.0.1:8630'").listen.http == ""


@pytest.mark.parametrize("one", ["cert_file = 'c'", "key_file = 'k'"])
def test_a_certificate_comes_with_its_key(one: str) -> None:
    """Both or none; without them there is `jmap-proxy cert`."""
    with pytest.raises(ConfigError, match=r"cert_file and listen\.key_file belong together") as caught:
        parse_config(f"[listen]\n{one}")
    assert "jmap-proxy cert" in caught.value.hint


def test_an_unknown_account_is_told_with_what_to_add() -> None:
    """The error lists the accounts that there are, and quotes a name as TOML wants it."""
    with pytest.raises(ConfigError, match=r"'bob' .*there is: alice") as caught:
        parse_config(ALICE).account("bob")
    assert "[accounts.bob]" in caught.value.hint
    with pytest.raises(ConfigError, match="there is none") as caught:
        Config().account("bob@example.com")
    assert '[accounts."bob@example.com"]' in caught.value.hint


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A missing file comes with what to do; a folder and bytes that are no text are told as such."""
    with pytest.raises(ConfigError, match="there is no configuration file") as caught:
        load_config(tmp_path / "none.toml")
    assert "config/config.toml" in caught.value.hint
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    for path in (tmp_path, tmp_path / "latin.toml"):
        with pytest.raises(ConfigError, match=f"{path} (cannot be read: |is not UTF-8)") as caught:
            load_config(path)
        assert caught.value.hint


@given(text=st.text())
def test_no_text_causes_another_error(text: str) -> None:
    """Whatever the file holds: a configuration or a ConfigError."""
    with suppress(ConfigError):
        assert parse_config(text).store.kind == "file"


def test_a_preset_gives_what_the_account_does_not_set() -> None:
    """The account's own keys win; what neither sets has its default."""
    alice = parse_config('[accounts.alice]\npreset = "twake"\nserver = "https://m.example"\nrewrite = "map"').account(
        "alice"
    )
    assert (alice.rewrite, alice.scopes) == ("map", ("openid", "profile", "email", "offline_access"))
    assert alice.local_auth == "key"


def test_a_server_is_enough() -> None:
    """Issuer and client are found at the sign-in."""
    alice = parse_config('[accounts.alice]\nserver = "https://m.example"').account("alice")
    assert (alice.issuer, alice.client_id) == ("", "")

"""The configuration: TOML, checked strictly; an error names the file and the key. Holds no secret.

Every key is described in config/config.toml.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from jmap_proxy.addresses import check_addresses
from jmap_proxy.errors import ConfigError
from jmap_proxy.origins import (
    DEFAULT_PORTS,
    AllowedOrigins,
    Origin,
    parse_allowed,
    parse_origin,
    parse_web_origin,
    split_url,
)
from jmap_proxy.presets import presets
from jmap_proxy.strict_toml import convert, toml_key

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_NAME = 100  # characters: it becomes that of files

DEFAULT_SCOPES = ("openid", "offline_access")
"""Asked for where neither the configuration nor the server says what."""

NO_RESOURCE = "none"
"""As `resource`: it is left out, whatever the server says (measured: Entra refuses it)."""

_SCOPE = re.compile(r"[!#-\[\]-~]+")


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where clients come in: "host:port", or "" for off."""

    http: str = "127.0.0.1:8620"
    https: str = ""
    admin: str = "127.0.0.1:8622"
    cert_file: str = ""
    key_file: str = ""
    unix: str = ""
    hosts: tuple[str, ...] = ()
    web_origins: tuple[str, ...] = ()

    @property
    def allowed_web_origins(self) -> frozenset[str]:
        """The origins of web clients as browsers write them."""
        return frozenset(map(parse_web_origin, self.web_origins))


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One account at one JMAP server."""

    server: str
    preset: str = ""
    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    client_key_file: str = ""
    client_auth: Literal["auto", "client_secret_basic", "client_secret_post", "private_key_jwt"] = "auto"
    sign_in: Literal["user", "client_credentials"] = "user"
    scopes: tuple[str, ...] | None = None
    resource: str = ""
    ca_file: str = ""
    upstream_origins: tuple[str, ...] = ()
    rewrite: Literal["map", "force"] = "map"
    local_auth: Literal["key", "none"] = "key"
    listen: str = ""
    replay: Literal["strict", "grace"] = "strict"
    keep_alive: Annotated[float, msgspec.Meta(ge=0, le=365)] = 7.0

    @property
    def server_origin(self) -> Origin:
        """Origin of the server."""
        return parse_origin(self.server)

    @property
    def allowed_origins(self) -> AllowedOrigins:
        """The origins that may get the account's token."""
        return AllowedOrigins.of(self.server_origin, self.upstream_origins)

    @property
    def session_url(self) -> str:
        """Where the Session is asked for: the server as named, or its well-known place (RFC 8620 §2.2)."""
        origin, path = split_url(self.server)
        return f"{origin}{path}" if path not in ("", "/") else f"{origin}/.well-known/jmap"


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How tokens are kept."""

    kind: Literal["file"] = "file"
    key: Literal["auto", "keyring", "credential", "file"] = "auto"


class Hooks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Commands to be run, as program and arguments."""

    on_sign_in_needed: tuple[str, ...] = ()


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds, in bytes and seconds."""

    connections: Annotated[int, msgspec.Meta(ge=1)] = 2048
    head: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 15.0
    body_idle: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    first_byte: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 4.0
    upload_replay: Annotated[int, msgspec.Meta(ge=0)] = 256 << 20
    shutdown: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 20.0


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration."""

    listen: Listen = Listen()
    accounts: dict[str, Account] = {}
    store: Store = Store()
    limits: Limits = Limits()
    hooks: Hooks = Hooks()

    @property
    def open_accounts(self) -> list[str]:
        """The accounts that need no key by the shared listeners; one with a port of its own is open only there."""
        return [name for name, each in self.accounts.items() if each.local_auth == "none" and not each.listen]

    def account(self, name: str) -> Account:
        """The account of that name. Raises ConfigError with what to add where there is none."""
        if name not in self.accounts:
            known = f": {', '.join(self.accounts)}" if self.accounts else " none"
            raise ConfigError(
                f"there is no account {name!r} in the configuration (there is{known})",
                hint=f"add a section [accounts.{toml_key(name)}] with its server, or run: jmap-proxy login EMAIL",
            )
        return self.accounts[name]


def load_config(path: Path) -> Config:
    """Read and check the configuration file. Blocks.

    Raises:
        ConfigError: it is missing, not TOML, or has a wrong key or value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {path}",
            hint="run: jmap-proxy login EMAIL, which makes it, or write it after the example config/config.toml",
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint=f"check who owns {path}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8", hint="save it as UTF-8") from None
    try:
        return _with_files_beside(parse_config(text), path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.detail}", hint=error.hint) from None


def _with_files_beside(config: Config, folder: Path) -> Config:
    """The configuration with the files that it names relatively taken to be beside it; "~" stays for its user."""

    def beside(name: str) -> str:
        return str(folder / name) if name and not name.startswith("~") else name

    listen = config.listen
    return msgspec.structs.replace(
        config,
        listen=msgspec.structs.replace(listen, cert_file=beside(listen.cert_file), key_file=beside(listen.key_file)),
        accounts={
            name: msgspec.structs.replace(
                account,
                ca_file=beside(account.ca_file),
                client_secret_file=beside(account.client_secret_file),
                client_key_file=beside(account.client_key_file),
            )
            for name, account in config.accounts.items()
        },
    )


def parse_config(text: str) -> Config:
    """Check the text of a configuration. Pure. Raises ConfigError naming the key."""
    try:
        raw = tomllib.loads(text.removeprefix("\ufeff"))  # some editors write a mark before UTF-8
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"not TOML: {error}", hint="correct it after the example config/config.toml") from None
    if isinstance(accounts := raw.get("accounts"), dict):
        for name in accounts:
            _check_name(name)
            where = f"accounts.{toml_key(name)}"
            accounts[name] = _with_preset(accounts[name], where)
            convert(accounts[name], Account, where)  # alone, to name the account in the error
    config = convert(raw, Config)
    _check_listen(config)
    for name, account in config.accounts.items():
        _check_account(name, account)
    return config


def _check_name(name: str) -> None:
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or set(name) & set(" /\\"):
        raise ConfigError(
            f"{name[:LONGEST_NAME]!r} cannot be the name of an account",
            hint=f"choose one of 1 to {LONGEST_NAME} characters without spaces, slashes and hidden ones",
        )


def _with_preset(account: object, where: str) -> object:
    """The account's keys, and those of the preset that it names for the rest."""
    if not isinstance(account, dict) or not isinstance(name := account.get("preset", ""), str) or not name:
        return account
    if name not in presets():
        raise ConfigError(f"{where}.preset: there is none called {name!r}", hint=f"there is: {', '.join(presets())}")
    return presets()[name].account | account


def _check_listen(config: Config) -> None:
    listen = config.listen
    own = {f"accounts.{toml_key(name)}.listen": account.listen for name, account in config.accounts.items()}
    open_accounts = config.open_accounts
    if len(open_accounts) > 1:
        raise ConfigError(
            f"only one account can have local_auth none, not {' and '.join(open_accounts)}",
            hint='give the others ports of their own, for example listen = "127.0.0.1:8630"',
        )
    check_addresses(
        {"listen.http": listen.http, "listen.admin": listen.admin, **own},
        {"listen.https": listen.https},
        next(iter(open_accounts), ""),
    )
    if not any((listen.http, listen.https, listen.unix, *own.values())):
        raise ConfigError(
            "there is no way in: listen.http, listen.https and listen.unix are off, and no account has its own port",
            hint="switch one of them on",
        )
    if bool(listen.cert_file) != bool(listen.key_file):
        raise ConfigError(
            "listen.cert_file and listen.key_file belong together",
            hint="name both PEM files, or none of them and run: jmap-proxy cert",
        )
    for name in listen.hosts:
        _check_host(name)
    for number, text in enumerate(listen.web_origins):
        _check_web_origin(f"listen.web_origins[{number}]", text)


def _check_host(name: str) -> None:
    try:
        origin, rest = split_url(f"https://[{name}]" if ":" in name and "[" not in name else f"https://{name}")
    except ValueError:
        origin, rest = None, ""
    if origin is None or rest or origin.port != DEFAULT_PORTS["https"]:
        raise ConfigError(f"listen.hosts: {name!r} is not a host name", hint='names only, for example "mail.lan"')


def _check_web_origin(key: str, text: str) -> None:
    try:
        parse_web_origin(text)
    except ValueError as error:
        hint = 'whole origins only, for example "https://webmail.example.com" or "http://localhost:3000"'
        raise ConfigError(f"{key}: {error}", hint=hint) from None  # not repeated: it can hold a password


def _check_account(name: str, account: Account) -> None:
    where = f"accounts.{toml_key(name)}"
    for key, url in (("server", account.server), ("issuer", account.issuer)):
        if url:
            _check_url(f"{where}.{key}", url)
    for number, origin in enumerate(account.upstream_origins):
        _check_upstream_origin(f"{where}.upstream_origins[{number}]", origin)
    if any(not _SCOPE.fullmatch(scope) for scope in account.scopes or ()):
        raise ConfigError(f"{where}.scopes: each scope is one word (RFC 6749 §3.3)")
    _check_client(where, account)


def _check_upstream_origin(key: str, text: str) -> None:
    try:
        allowed = parse_allowed(text)
    except ValueError as error:
        hint = 'for example "https://files.example.com", or "https://*.example.com" for all names below example.com'
        raise ConfigError(f"{key}: {error}", hint=hint) from None  # not repeated: it can hold a password
    if isinstance(allowed, Origin) and not allowed.is_safe_for_secrets:
        raise ConfigError(f"{key}: the token would leave this machine over plain http", hint="use https")


def _check_client(where: str, account: Account) -> None:
    """See that the client can prove what it is to prove."""
    given = bool(account.client_secret_file), bool(account.client_key_file)
    if all(given):
        raise ConfigError(
            f"{where}: client_secret_file and client_key_file exclude each other", hint="keep one of them"
        )
    wanted = {"private_key_jwt": (False, True), "auto": given}.get(account.client_auth, (True, False))
    if given != wanted:
        needed = "client_key_file" if wanted[1] else "client_secret_file"
        raise ConfigError(f"{where}.client_auth: {account.client_auth} needs {needed}", hint=f'add {needed} = "…"')
    if any(given) and not account.client_id:
        raise ConfigError(f"{where}.client_id is missing: the secret is that client's", hint='add client_id = "…"')
    if account.sign_in == "client_credentials" and not any(given):
        raise ConfigError(
            f"{where}.sign_in: client_credentials is for a client that can prove who it is (RFC 6749 §4.4)",
            hint="add client_id, and client_secret_file or client_key_file",
        )


def _check_url(key: str, url: str) -> str:
    """The part of the URL behind its origin."""
    try:
        origin, rest = split_url(url)
    except ValueError as error:
        # the URL is not repeated: it can hold a password
        raise ConfigError(f"{key}: {error}", hint="for example https://mail.example.com") from None
    if not origin.is_safe_for_secrets:
        raise ConfigError(f"{key}: the token would leave this machine over plain http", hint="use https")
    if not all("!" <= character <= "~" for character in rest) or "#" in rest:
        raise ConfigError(f"{key}: it holds a character that no URL has", hint="percent-encode it")
    return rest

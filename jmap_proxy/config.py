"""The configuration: TOML, checked strictly; an error names the file and the key. Holds no secret.

Every key is described in config/config.toml.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import msgspec

from jmap_proxy.errors import ConfigError
from jmap_proxy.origins import DEFAULT_PORTS, Origin, is_loopback, parse_origin, split_url

if TYPE_CHECKING:
    from pathlib import Path

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x20\x7f-\x9f/\\]+\Z")]

_SCOPE = re.compile(r"[!#-\[\]-~]+")
_T = TypeVar("_T")


class Address(msgspec.Struct, frozen=True):
    """A host and a TCP port to listen on; port 0 lets the kernel choose."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


class Listen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where clients come in: "host:port", or "" for off."""

    http: str = "127.0.0.1:8620"
    https: str = ""
    admin: str = "127.0.0.1:8622"
    cert_file: str = ""
    key_file: str = ""
    hosts: tuple[str, ...] = ()


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One account at one JMAP server."""

    server: str
    issuer: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    scopes: tuple[str, ...] = ("openid", "offline_access")
    resource: str = ""
    ca_file: str = ""
    upstream_origins: tuple[str, ...] = ()
    rewrite: Literal["map", "force"] = "map"
    local_auth: Literal["key", "none"] = "key"
    replay: Literal["strict", "grace"] = "strict"
    keep_alive: Annotated[float, msgspec.Meta(ge=0, le=365)] = 7.0

    @property
    def server_origin(self) -> Origin:
        """Origin of the server."""
        return parse_origin(self.server)

    @property
    def allowed_origins(self) -> frozenset[Origin]:
        """The origins that may get the account's token."""
        return frozenset({self.server_origin, *(parse_origin(origin) for origin in self.upstream_origins)})

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

    upload_replay: Annotated[int, msgspec.Meta(ge=0)] = 64 << 20
    shutdown: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 20.0


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration."""

    listen: Listen = Listen()
    accounts: dict[_Name, Account] = {}
    store: Store = Store()
    limits: Limits = Limits()
    hooks: Hooks = Hooks()

    def account(self, name: str) -> Account:
        """The account of that name. Raises ConfigError with what to add where there is none."""
        if name not in self.accounts:
            known = ", ".join(self.accounts) or "none"
            raise ConfigError(
                f"there is no account {name!r} in the configuration (there is: {known})",
                hint=f"add a section [accounts.{_toml_key(name)}] with server, issuer and client_id",
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
            f"there is no configuration file {path}", hint="make one after the example config/config.toml"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}") from error
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
                account, ca_file=beside(account.ca_file), client_secret_file=beside(account.client_secret_file)
            )
            for name, account in config.accounts.items()
        },
    )


def parse_config(text: str) -> Config:
    """Check the text of a configuration. Pure. Raises ConfigError naming the key."""
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"not TOML: {error}") from None
    if isinstance(accounts := raw.get("accounts"), dict):
        for name, account in accounts.items():
            _convert(account, Account, f"accounts.{_toml_key(name)}")  # alone, to name the account in the error
    config = _convert(raw, Config)
    _check_listen(config)
    for name, account in config.accounts.items():
        _check_account(name, account)
    return config


def parse_address(key: str, text: str) -> Address | None:
    """The address in "host:port", None for "" (off). Raises ConfigError naming the key."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    digits = port.isascii() and port.isdigit() and len(port) <= 5  # noqa: PLR2004
    if not colon or not host or not digits or int(port) > 65535:  # noqa: PLR2004
        raise ConfigError(f"{key}: {text!r} is not host:port", hint=f'for example {key} = "127.0.0.1:8620"')
    return Address(host, int(port))


def _check_listen(config: Config) -> None:
    listen = config.listen
    http = parse_address("listen.http", listen.http)
    https = parse_address("listen.https", listen.https)
    admin = parse_address("listen.admin", listen.admin)
    if http is None and https is None:
        raise ConfigError("listen.http and listen.https are both off", hint="switch one of them on")
    for key, address in (("listen.http", http), ("listen.admin", admin)):
        if address is not None and not address.is_loopback:
            raise ConfigError(f"{key}: plain http only on this machine", hint="use 127.0.0.1, or listen.https")
    taken = [address for address in (http, https, admin) if address is not None and address.port]
    if len(set(taken)) < len(taken):
        raise ConfigError("listen: two listeners have the same address", hint="give each a port of its own")
    if https is not None and not (listen.cert_file and listen.key_file):
        raise ConfigError("listen.https needs listen.cert_file and listen.key_file", hint="name the PEM files")
    for name in listen.hosts:
        _check_host(name)
    open_accounts = [name for name, account in config.accounts.items() if account.local_auth == "none"]
    if len(open_accounts) > 1:
        raise ConfigError(f"only one account can have local_auth none, not {' and '.join(open_accounts)}")
    if open_accounts and https is not None and not https.is_loopback:
        raise ConfigError("listen.https: off this machine every account needs a key", hint="drop local_auth")


def _check_host(name: str) -> None:
    try:
        origin, rest = split_url(f"https://[{name}]" if ":" in name and "[" not in name else f"https://{name}")
    except ValueError:
        origin, rest = None, ""
    if origin is None or rest or origin.port != DEFAULT_PORTS["https"]:
        raise ConfigError(f"listen.hosts: {name!r} is not a host name", hint='names only, for example "mail.lan"')


def _check_account(name: str, account: Account) -> None:
    where = f"accounts.{_toml_key(name)}"
    for key, url in (("server", account.server), ("issuer", account.issuer)):
        if url:
            _check_url(f"{where}.{key}", url)
    for origin in account.upstream_origins:
        if _check_url(f"{where}.upstream_origins", origin) not in ("", "/"):
            raise ConfigError(f"{where}.upstream_origins: {origin!r} has a path", hint="name origins only")
    for key in ("issuer", "client_id"):
        if not getattr(account, key):
            raise ConfigError(f"{where}.{key} is missing", hint=f'add {key} = "…"')
    if any(not _SCOPE.fullmatch(scope) for scope in account.scopes):
        raise ConfigError(f"{where}.scopes: each scope is one word (RFC 6749 §3.3)")


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


def _convert(raw: object, form: type[_T], where: str = "") -> _T:
    try:
        return msgspec.convert(raw, form)
    except msgspec.ValidationError as error:
        message = str(error).replace("$.", f"{where}." if where else "")
        if where and where not in message:
            message = f"{where}: {message}"
        raise ConfigError(message, hint=_hint_for(message)) from None


def _hint_for(message: str) -> str:
    if "`client_secret`" in message:
        return "secrets do not stand in the configuration: put it in a file and name that as client_secret_file"
    return "config/config.toml describes every key"


def _toml_key(name: str) -> str:
    bare = name.replace("-", "").replace("_", "")
    return name if bare.isascii() and bare.isalnum() else json.dumps(name, ensure_ascii=False)

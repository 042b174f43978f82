"""`jmap-proxy cert`: a certificate for https on this machine, and an authority that clients can trust."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from jmap_proxy.cli.assembly import Assembly
from jmap_proxy.cli.options import with_config, with_log_level
from jmap_proxy.tls.certificates import all_names, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from jmap_proxy.config import Config
    from jmap_proxy.tls.certificate_folder import Made


@click.command(short_help="Make the certificate for https.")
@click.option("--new-ca", is_flag=True, help="Make a new authority, too; all clients have to trust that anew.")
@with_config
@with_log_level("warning")
def cert(config: Config, *, new_ca: bool) -> None:
    """Make the certificate for https, and say how clients are made to trust it.

    Run again, it renews the certificate; the authority stays, so that clients need not be told again. `serve` renews
    the certificate by itself.
    """
    folder = Assembly(config).certificates
    made = folder.make(config.listen.hosts, new_authority=new_ca)
    click.echo(_told(made, folder.authority_file, config))


def _told(made: Made, ca_file: Path, config: Config) -> str:
    lines = [
        f"Certificate for {', '.join(all_names(config.listen.hosts))}, until {made.leaf.not_valid_after_utc:%Y-%m-%d}",
        f"Authority: {ca_file}, until {made.authority.not_valid_after_utc:%Y-%m-%d}",
        f"SHA-256:   {fingerprint(made.authority)}",
    ]
    if made.why_new:
        lines += [f"The authority is new ({made.why_new}); clients have to trust it:", "", trust(str(ca_file)), ""]
    else:
        lines += ["The authority is the one that there was; who trusts it needs nothing more."]
    if config.listen.cert_file:
        lines += ["It is not used: listen.cert_file names another certificate."]
    elif not config.listen.https:
        lines += ['To use it, set in the configuration, section [listen]: https = "127.0.0.1:8621"']
    return "\n".join(lines)


def trust(ca_file: str) -> str:
    """How each platform and client is made to trust the authority. Pure."""
    pem = shlex.quote(ca_file)
    return f"""\
  Debian, Ubuntu   sudo cp {pem} /usr/local/share/ca-certificates/jmap-proxy.crt && sudo update-ca-certificates
  Fedora, Arch     sudo trust anchor {pem}
  macOS            security add-trusted-cert -r trustRoot -p ssl -k ~/Library/Keychains/login.keychain-db {pem}
  Windows          certutil -user -addstore Root {pem}
  Firefox and Thunderbird: Settings, Certificates, Authorities, Import
or for one client alone:
  aerc and others in Go           SSL_CERT_FILE={pem}   (may replace the system's authorities there)
  jmapc and others with requests  REQUESTS_CA_BUNDLE={pem}
  jmap-jam (Node)                 NODE_EXTRA_CA_CERTS={pem}
  curl                            --cacert {pem}
mujmap has its own authorities built in and cannot be told: give it the http address."""

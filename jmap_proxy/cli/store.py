"""`jmap-proxy store rekey`: encrypt the stored tokens with a new data key."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from jmap_proxy.cli.options import with_config
from jmap_proxy.errors import StoreError
from jmap_proxy.paths import state_folder
from jmap_proxy.tls.certificate_folder import CertificateFolder
from jmap_proxy.tokens.keychain import LADDER, Keychain, Place, key_places
from jmap_proxy.tokens.rekey import rekey as rekey_store

if TYPE_CHECKING:
    from jmap_proxy.config import Config


@click.group()
def store() -> None:
    """Look after the stored tokens."""


@store.command()
@click.option("--to", type=click.Choice(LADDER), help="Where to keep the new key; where the old one is, if not given.")
@with_config
def rekey(config: Config, to: Place | None) -> None:
    """Encrypt all stored tokens with a new data key. A proxy may be running meanwhile."""
    state = state_folder(os.environ)
    wanted = config.store.key
    if wanted != "auto" and to not in (None, wanted):
        raise click.UsageError(f"store.key in the configuration says {wanted!r}: change it first, or leave out --to")
    place = to or (None if wanted == "auto" else wanted)
    keychain = Keychain(state, key_places(state, os.environ))
    authority = CertificateFolder(state / "tls", keychain, time.time)
    done = rekey_store(state / "tokens", keychain, place, {"ca-key.pem": authority.encrypt_anew})
    click.echo(f"{len(done.sealed)} files are encrypted with a new data key, in: {keychain.describe()}")
    if done.left:
        told = "; ".join(f"{name}: {reason}" for name, reason in done.left.items())
        raise StoreError(
            f"left as they are: {told}", hint="mend or move these files away and run it again; the old key is kept"
        )

"""The whole examination: files first, then what needs them; all at the same time that does not need one another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp

from jmap_proxy.aside import aside
from jmap_proxy.doctor.certificate import look_at_certificate
from jmap_proxy.doctor.door import Knocked, judge_knocks, knock, look_at_address, ways_of
from jmap_proxy.doctor.finding import Finding, Level, info, ok, redacted, warning
from jmap_proxy.doctor.looks import Looks
from jmap_proxy.doctor.network import Examined, Network
from jmap_proxy.doctor.private_files import look_at_files
from jmap_proxy.doctor.rotation import judge_rotation
from jmap_proxy.doctor.running import ask_proxy
from jmap_proxy.doctor.sign_in import judge_scopes, judge_sign_in
from jmap_proxy.doctor.stored import Stored, look_at_store
from jmap_proxy.doctor.surroundings import look_at_hook, look_at_local_keys, look_at_service

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jmap_proxy.doctor.door import Way
    from jmap_proxy.doctor.installation import Installation
    from jmap_proxy.oauth.metadata import ProviderMetadata
    from jmap_proxy.tokens.report import TokenReport

Live = dict[str, "TokenReport"] | None


async def examine(installation: Installation, *, offline: bool = False) -> list[Finding]:
    """Look at everything, each look for a limited time.

    Args:
        installation: What is looked at.
        offline: Ask only programs of this machine, no server and no provider.

    Returns:
        What was found, good and bad. Of faults that follow from another one, only that one is told.
    """
    looks = Looks(installation.limit)
    findings, wrong = await looks.take("files", aside(look_at_files, installation), ([], frozenset()))
    looks.findings += findings
    unknown = dict.fromkeys(installation.accounts, Stored(unreadable=True))
    findings, stored = await looks.take("the store", aside(look_at_store, installation, wrong), ([], unknown))
    looks.findings += findings
    await _look_around(installation, looks, wrong, stored)
    live = await _ask_doors(installation, looks)
    good = _judge_sign_ins(installation, looks, stored, live)
    metadata = {} if offline else await Network(installation, looks).ask(_examined(installation, stored, good))
    _judge_scopes(installation, looks, stored, good, metadata)
    secrets = {secret for each in stored.values() for secret in _secrets_of(each)}
    return [redacted(finding, secrets) for finding in looks.findings]


async def _look_around(
    installation: Installation, looks: Looks, wrong: frozenset[Path], stored: Mapping[str, Stored]
) -> None:
    """This machine, but for what listens on it."""
    signed_in = frozenset(name for name, each in stored.items() if each.tokens or each.unreadable)
    await asyncio.gather(
        looks.add("the certificate", aside(look_at_certificate, installation, wrong)),
        looks.add("the local keys", aside(look_at_local_keys, installation, wrong, signed_in)),
        looks.add("the hook", aside(look_at_hook, installation)),
        looks.add("the service unit", aside(look_at_service, installation.environment)),
    )


async def _ask_doors(installation: Installation, looks: Looks) -> Live:
    """What a running proxy tells of its accounts, None if none does; and how its listeners are."""
    ways = list(ways_of(installation.config, installation.accounts))
    admin = next((way for way in ways if way.key == "listen.admin"), None)
    time = aiohttp.ClientTimeout(total=looks.limit)
    async with aiohttp.ClientSession(timeout=time, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as http:
        live = None if admin is None else await looks.take("a running proxy", ask_proxy(http, admin.origin), None)
        knocks = await asyncio.gather(
            *(looks.take(f"{way.key} ({way.origin})", _knock(http, way), None) for way in ways)
        )
    running = live is not None or any(each is not None and each.is_ours for each in knocks)
    unshown = any(each.code.startswith("certificate-") and each.level is Level.ERROR for each in looks.findings)
    for way, knocked in zip(ways, knocks, strict=True):
        if knocked is not None and not (way.https and unshown):  # why nobody listens there has been told
            await looks.add(way.key, _look_at_door(way, knocked, running=running))
    looks.findings.append(_judge_running(installation, admin, running=running))
    return live


async def _knock(http: aiohttp.ClientSession, way: Way) -> Knocked | None:
    return await knock(http, way)


async def _look_at_door(way: Way, knocked: Knocked, *, running: bool) -> list[Finding]:
    return judge_knocks(way, knocked) if knocked.listening else await look_at_address(way, running=running)


def _judge_running(installation: Installation, admin: Way | None, *, running: bool) -> Finding:
    if not running and (admin is not None or installation.config.listen.admin == ""):
        return warning("proxy-not-running", "no proxy answers", "run: jmap-proxy serve, or: jmap-proxy service install")
    if admin is None:
        what = "listen.admin is off, so a running proxy cannot be asked how it is"
        return info("admin-off", what, 'set listen.admin = "127.0.0.1:8622"')
    return ok("proxy", "running")


def _judge_sign_ins(
    installation: Installation, looks: Looks, stored: Mapping[str, Stored], live: Live
) -> frozenset[str]:
    """Judge them. Returns the accounts whose tokens are good for something."""
    good = set()
    for name, account in installation.examined.items():
        report = None if live is None else live.get(name)
        findings = judge_sign_in(name, account, stored[name], report, installation.clock())
        looks.findings += findings
        tokens = stored[name].tokens
        if tokens is not None and not any(finding.level is Level.ERROR for finding in findings):
            good.add(name)
            looks.findings += judge_rotation(name, account, tokens)
        if live is not None and report is None and tokens is not None:
            mend = "restart jmap-proxy serve; its log tells why it has not taken up the configuration"
            looks.findings.append(
                warning("account-not-served", "the running proxy does not know the account", mend, name)
            )
    return frozenset(good)


def _examined(installation: Installation, stored: Mapping[str, Stored], good: frozenset[str]) -> list[Examined]:
    examined = []
    for name, account in installation.examined.items():
        tokens = stored[name].tokens
        issuer = account.issuer or (tokens.issuer if tokens else "")
        examined.append(Examined(name, account, issuer, tokens if name in good else None))
    return examined


def _judge_scopes(
    installation: Installation,
    looks: Looks,
    stored: Mapping[str, Stored],
    good: frozenset[str],
    metadata: Mapping[str, ProviderMetadata],
) -> None:
    for name, account in installation.examined.items():
        tokens = stored[name].tokens
        if name in good and tokens is not None:
            known = metadata.get(tokens.issuer)
            looks.findings += judge_scopes(name, account, tokens, known.scopes_supported if known else None)


def _secrets_of(stored: Stored) -> tuple[str, ...]:
    tokens = stored.tokens
    if tokens is None:
        return ()
    registered = tokens.registration
    of_client = (registered.client_secret, registered.registration_access_token) if registered else ()
    return (tokens.access_token, tokens.refresh_token, *of_client)

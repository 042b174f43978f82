"""From nothing to mail in one command, with the real provider, which lets clients register, and the real server."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from joserfc.jwk import ECKey

from tests.e2e.fetch import fetch
from tests.e2e.newcomer import Newcomer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.e2e.cyrus import Cyrus
    from tests.e2e.provider import Provider

ADDRESS = "alice@example.org"
GRANTS = {
    "by_browser": "authorization_code",
    "on_another_device": "urn:ietf:params:oauth:grant-type:device_code",
}


def counts(provider: Provider) -> dict[str, dict[str, dict[str, int]]]:
    """How the token endpoint answered: client, grant type, result."""
    told: dict[str, dict[str, dict[str, int]]] = fetch(f"{provider.issuer}/e2e/stats").json()
    return told


def first_mail(url: str, key: str) -> list[str]:
    """Subjects of three messages, asked for by a client that has only the key."""
    session = fetch(f"{url}/.well-known/jmap", headers={"Authorization": f"Bearer {key}"}).json()
    account = session["primaryAccounts"]["urn:ietf:params:jmap:mail"]
    query = {"accountId": account, "limit": 3}
    ids = {"resultOf": "q", "name": "Email/query", "path": "/ids"}
    get = {"accountId": account, "#ids": ids, "properties": ["subject"]}
    call = {
        "using": ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail"],
        "methodCalls": [["Email/query", query, "q"], ["Email/get", get, "g"]],
    }
    told = post_json(session["apiUrl"], call, Authorization=f"Bearer {key}")
    return [email["subject"] for email in told["methodResponses"][1][1]["list"]]


def post_json(url: str, document: dict[str, Any], **fields: str) -> Any:
    """What is answered to a document."""
    told = {"Content-Type": "application/json", **fields}
    with urlopen(Request(url, json.dumps(document).encode(), told), timeout=20) as answer:  # noqa: S310 - ours
        return json.load(answer)


@pytest.mark.parametrize("sign_in", [Newcomer.login, Newcomer.login_on_device], ids=["by_browser", "on_another_device"])
def test_from_nothing_to_mail(
    folder: Path, cyrus: Cyrus, provider: Provider, sign_in: Callable[[Newcomer], str], request: pytest.FixtureRequest
) -> None:
    """The client registers itself, the mail comes, tokens of five seconds are renewed, and logout leaves nothing."""
    home = folder / request.node.callspec.id
    home.mkdir(mode=0o700)
    newcomer = Newcomer(home, address=ADDRESS, server=cyrus.url, issuer=provider.issuer)
    known = counts(provider).keys()
    key = sign_in(newcomer)
    assert urlsplit(newcomer.account["issuer"]) == urlsplit(provider.issuer)
    assert "client_id" not in newcomer.account
    with newcomer.serving():
        assert len(first_mail(newcomer.url, key)) == 3
        while newcomer.generation() < 3:
            assert len(first_mail(newcomer.url, key)) == 3
            time.sleep(0.25)
    (client_id,) = counts(provider).keys() - known
    first, renewals = (counts(provider)[client_id][grant_type] for grant_type in (GRANTS[home.name], "refresh_token"))
    assert first["ok"] == 1
    assert renewals.keys() == {"ok"}
    newcomer.logout()
    assert newcomer.forgotten(client_id)


def test_a_client_with_a_key_of_its_own(folder: Path, cyrus: Cyrus, provider: Provider) -> None:
    """The provider takes its assertions (RFC 7523) at the sign-in, at each refresh and at the end."""
    home = folder / "with-a-key"
    home.mkdir(mode=0o700)
    key = ECKey.generate_key("P-256", {"kid": "mine", "use": "sig"})
    (home / "key.json").write_text(json.dumps(key.as_dict(private=True)))
    (home / "key.json").chmod(0o600)
    wanted = {
        "application_type": "native",
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": ["http://127.0.0.1/callback"],
        "jwks": {"keys": [key.as_dict(private=False)]},
    }
    client_id = post_json(f"{provider.issuer}/reg", wanted)["client_id"]
    newcomer = Newcomer(home, address=ADDRESS, server=cyrus.url, issuer=provider.issuer)
    newcomer.configure(
        server=cyrus.url, issuer=provider.issuer, client_id=client_id, client_key_file=str(home / "key.json")
    )
    local_key = newcomer.login()
    with newcomer.serving():
        while newcomer.generation() < 3:
            assert len(first_mail(newcomer.url, local_key)) == 3
            time.sleep(0.25)
    assert counts(provider)[client_id].keys() == {"authorization_code", "refresh_token"}
    assert all(results.keys() == {"ok"} for results in counts(provider)[client_id].values())
    newcomer.logout()

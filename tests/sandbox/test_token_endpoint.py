from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from jmap_proxy.sandbox import Fault, IdentityProvider, ProviderSettings
from jmap_proxy.sandbox.grants import Grant, Issued
from jmap_proxy.sandbox.signing_key import SigningKey
from jmap_proxy.sandbox.token_endpoint import id_claims, token_answer
from tests.sandbox.helpers import CALLBACK, VERIFIER, Person

if TYPE_CHECKING:
    from aiohttp import ClientSession


def basic(credentials: str) -> dict[str, str]:
    """A Basic header."""
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code": "x"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "guess"}, "invalid_grant"),
    ],
)
async def test_an_unsound_request_is_refused(
    idp: IdentityProvider, person: Person, form: dict[str, Any], error: str
) -> None:
    """What is missing or unknown gets the error code of RFC 6749 §5.2, and is recorded with it."""
    status, answer = await person.token(**form)
    assert (status, answer["error"]) == (400, error)
    assert idp.token_requests[-1].outcome == error
    assert idp.token_requests[-1].grant_type == (form.get("grant_type") or "")


async def test_a_body_that_is_no_form_counts_as_empty(idp: IdentityProvider, http: ClientSession) -> None:
    """JSON is not understood: the client is then unknown."""
    async with http.post(f"{idp.issuer}/token", json={"grant_type": "refresh_token"}) as response:
        assert response.status == 401
        assert "WWW-Authenticate" not in response.headers


async def test_an_unknown_client_is_refused(person: Person) -> None:
    """Another or no client id is `invalid_client`."""
    assert (await person.refresh("any", client_id="other"))[1]["error"] == "invalid_client"
    assert (await person.refresh("any", client_id=None))[0] == 401


async def test_a_confidential_client_shows_its_secret(idp: IdentityProvider, person: Person) -> None:
    """With a secret set, the form or Basic must show it; Basic is form-urlencoded inside."""
    idp.settings.client_secret = "a b:c"
    _, back = await person.authorize()
    assert (await person.redeem(back["code"]))[1]["error"] == "invalid_client"
    status, answer = await person.redeem(back["code"], client_secret="a b:c")
    assert status == 200
    form = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"], "client_id": None}
    assert (await person.token(headers=basic("jmap-proxy:a+b%3Ac"), **form))[0] == 200
    assert idp.token_requests[-1].authorization.startswith("Basic ")


@pytest.mark.parametrize(
    "headers",
    [
        basic("jmap-proxy:wrong"),
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic /w=="},
        {"Authorization": "Bearer x"},
    ],
)
async def test_bad_credentials_are_refused_with_a_challenge(
    idp: IdentityProvider, http: ClientSession, headers: dict[str, str]
) -> None:
    """Wrong, malformed or foreign credentials get 401 and a Basic challenge."""
    idp.settings.client_secret = "right"
    form = {"grant_type": "refresh_token", "refresh_token": "any"}
    async with http.post(f"{idp.issuer}/token", data=form, headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Basic")
        assert (await response.json())["error"] == "invalid_client"


async def test_the_form_is_recorded_as_sent(idp: IdentityProvider, person: Person) -> None:
    """A test can see what the client sent; the record's representation shows nothing of it."""
    _, back = await person.authorize()
    await person.redeem(back["code"], resource="https://mail.example/session")
    record = idp.token_requests[-1]
    assert record.form["resource"] == "https://mail.example/session"
    assert record.form["code_verifier"] == VERIFIER
    assert back["code"] not in repr(record)


async def test_revocation_answers_200_and_works(idp: IdentityProvider, person: Person, http: ClientSession) -> None:
    """Revoking a refresh token ends the grant; an unknown token is 200 too; no token is an error."""
    answer = await person.sign_in()
    for token, status in ((answer["refresh_token"], 200), ("guess", 200), ("", 400)):
        form = {"client_id": "jmap-proxy", "token": token}
        async with http.post(f"{idp.issuer}/revoke", data=form) as response:
            assert response.status == status
    assert idp.check(answer["access_token"]) is None
    assert [record.outcome for record in idp.revocations] == ["ok", "ok", "invalid_request"]


async def test_a_revocation_can_be_refused(idp: IdentityProvider, http: ClientSession) -> None:
    """A fault at `revoke` answers in the endpoint's place, and is recorded."""
    idp.faults.add("revoke", Fault(status=503))
    async with http.post(f"{idp.issuer}/revoke", data={"client_id": "jmap-proxy", "token": "t"}) as response:
        assert response.status == 503
    assert idp.revocations[-1].outcome == "fault"


ISSUER = "http://127.0.0.1:1"
ISSUED = Issued(Grant("ann", "mail"), "access", "", 4.9)


def test_what_is_not_there_is_left_out() -> None:
    """Without a refresh token and without openid there is neither one nor an ID token; life is whole seconds."""
    answer = token_answer(ISSUED, issuer=ISSUER, settings=ProviderSettings(), key=SigningKey(), now=0)
    assert answer == {"access_token": "access", "token_type": "Bearer", "expires_in": 4, "scope": "mail"}


def test_zero_is_an_answer() -> None:
    """An `expires_in` of 0 is said, not left out."""
    settings = ProviderSettings(expires_in=0)
    answer = token_answer(ISSUED, issuer=ISSUER, settings=settings, key=SigningKey(), now=0)
    assert answer["expires_in"] == 0


def test_claims_can_be_falsified() -> None:
    """An override replaces a claim."""
    settings = ProviderSettings(id_token_overrides={"iss": "https://evil.example"})
    assert id_claims(ISSUED, issuer=ISSUER, settings=settings, now=1.5)["iss"] == "https://evil.example"

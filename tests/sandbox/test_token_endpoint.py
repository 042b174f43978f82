import base64
from typing import Any

import pytest
from aiohttp import ClientSession

from jmap_proxy.sandbox import IdentityProvider
from tests.sandbox.helpers import CALLBACK, VERIFIER, Person


def basic(credentials: str) -> dict[str, str]:
    """Return a Basic header."""
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

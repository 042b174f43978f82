from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jmap_proxy.sandbox import IdentityProvider
    from tests.sandbox.helpers import Person


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "code=abc&state=st token=eyJhbGciOi.secret", "a\nb\x1b[31m"]
)
@pytest.mark.parametrize("code", ["access_denied", "server_error", "no_such_code", "<b>"])
async def test_a_refusal_can_say_odd_things(idp: IdentityProvider, person: Person, text: str, code: str) -> None:
    """Any code and any description go back with the browser, whole and escaped."""
    idp.settings.refuse_with = code
    idp.settings.error_description = text
    _, back = await person.authorize()
    assert back == {"error": code, "error_description": text, "state": "st", "iss": idp.issuer}


async def test_a_refusal_says_why(idp: IdentityProvider, person: Person) -> None:
    """A scope that is not there is named; without a description there is none."""
    idp.settings.refuse_scopes = True
    assert "nonsense" in (await person.authorize(scope="nonsense"))[1]["error_description"]
    idp.settings.refuse_with = "server_error"
    assert "error_description" not in (await person.authorize())[1]


async def test_a_narrowed_scope_is_told(idp: IdentityProvider, person: Person) -> None:
    """In the code's answer, or not where the scope is left out."""
    idp.settings.grant_scopes = ("openid",)
    assert (await person.sign_in(scope="openid mail"))["scope"] == "openid"
    idp.settings.scope_in_answer = False
    assert "scope" not in await person.sign_in(scope="openid mail")


async def test_the_wrong_person_can_sign_in(idp: IdentityProvider, person: Person) -> None:
    """Whoever was named."""
    idp.settings.user = "eve"
    idp.settings.heed_login_hint = False
    assert idp.check((await person.sign_in(login_hint="ann"))["access_token"]) == "eve"


async def test_a_code_survives_a_way_back_that_went_astray(idp: IdentityProvider, person: Person) -> None:
    """It is bound to the redirect URI that was asked for."""
    idp.settings.callback_host = "localhost"
    idp.settings.drop_callback_port = True
    await person.sign_in()

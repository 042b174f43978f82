from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.grants import CODE_LIFE, CodeRequest, Grant, GrantError, Grants, Issued, challenge_of
from tests.sandbox.helpers import CALLBACK, VERIFIER

if TYPE_CHECKING:
    from tests.support.clock import Clock


@pytest.fixture
def settings() -> ProviderSettings:
    """The settings as they come."""
    return ProviderSettings()


@pytest.fixture
def grants(settings: ProviderSettings, clock: Clock) -> Grants:
    """A store with nothing in it."""
    return Grants(settings, clock)


def code(grants: Grants) -> str:
    """A fresh code for ann."""
    return grants.issue_code(CodeRequest(Grant("ann", "openid", "no"), CALLBACK, challenge_of(VERIFIER)))


def signed_in(grants: Grants) -> Issued:
    """The tokens of a fresh sign-in of ann."""
    return grants.redeem(code(grants), redirect_uri=CALLBACK, verifier=VERIFIER)


def refused(grants: Grants, token: str) -> bool:
    """Whether a refresh is refused with `invalid_grant`."""
    with pytest.raises(GrantError) as caught:
        grants.refresh(token)
    return caught.value.code == "invalid_grant"


def test_the_pkce_challenge_is_the_rfcs() -> None:
    """The example of RFC 7636 appendix B gives the RFC's own challenge."""
    challenge = challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_code_becomes_tokens_of_its_user(grants: Grants) -> None:
    """A code gives an access token that is its user's, a refresh token, and the nonce."""
    issued = signed_in(grants)
    assert grants.check(issued.access_token) == "ann"
    assert issued.refresh_token
    assert issued.nonce == "no"


def test_a_code_used_twice_revokes_the_grant(grants: Grants) -> None:
    """The second use of a code ends the tokens of the first."""
    used = code(grants)
    issued = grants.redeem(used, redirect_uri=CALLBACK, verifier=VERIFIER)
    with pytest.raises(GrantError, match="used before"):
        grants.redeem(used, redirect_uri=CALLBACK, verifier=VERIFIER)
    assert grants.check(issued.access_token) is None
    assert refused(grants, issued.refresh_token)


@pytest.mark.parametrize(
    ("redirect_uri", "verifier", "age"),
    [
        ("http://127.0.0.1:1/callback", VERIFIER, 0),
        (CALLBACK, "w" * 43, 0),
        (CALLBACK, VERIFIER, CODE_LIFE),
    ],
)
def test_a_code_is_bound(grants: Grants, clock: Clock, redirect_uri: str, verifier: str, age: float) -> None:
    """Another redirect URI, another verifier or a minute's wait makes a code worthless."""
    fresh = code(grants)
    clock.now += age
    with pytest.raises(GrantError, match="invalid_grant"):
        grants.redeem(fresh, redirect_uri=redirect_uri, verifier=verifier)


def test_an_unknown_code_is_refused(grants: Grants) -> None:
    """A code that was never issued gives nothing."""
    with pytest.raises(GrantError, match="unknown"):
        grants.redeem("guess", redirect_uri=CALLBACK, verifier=VERIFIER)


def test_an_access_token_lives_as_long_as_the_settings_say(
    grants: Grants, settings: ProviderSettings, clock: Clock
) -> None:
    """A token is good until its last second has passed, not longer."""
    settings.access_token_life = 5
    token = signed_in(grants).access_token
    clock.now += 4.99
    assert grants.check(token) == "ann"
    clock.now += 0.01
    assert grants.check(token) is None
    assert grants.check("guess") is None


def test_rotation_spends_the_old_refresh_token(grants: Grants) -> None:
    """Reuse of a spent token revokes the grant, so that the successor dies too."""
    first = signed_in(grants)
    second = grants.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert second.nonce == ""
    assert refused(grants, first.refresh_token)
    assert refused(grants, second.refresh_token)
    assert grants.check(second.access_token) is None


def test_reuse_without_revocation_only_refuses(grants: Grants, settings: ProviderSettings) -> None:
    """With revocation switched off, the successor survives the reuse."""
    settings.revoke_on_reuse = False
    first = signed_in(grants)
    second = grants.refresh(first.refresh_token)
    assert refused(grants, first.refresh_token)
    assert grants.check(grants.refresh(second.refresh_token).access_token) == "ann"


def test_a_spent_token_may_be_replayed_within_the_grace(
    grants: Grants, settings: ProviderSettings, clock: Clock
) -> None:
    """Within the grace a replay gets the same answer; afterwards it is reuse."""
    settings.grace = 10
    first = signed_in(grants)
    second = grants.refresh(first.refresh_token)
    clock.now += 9
    assert grants.refresh(first.refresh_token) == second
    clock.now += 1
    assert refused(grants, first.refresh_token)


def test_without_rotation_the_refresh_token_stays(grants: Grants, settings: ProviderSettings) -> None:
    """A refresh token that is not rotated works again and again, and answers hold no new one."""
    settings.rotate = False
    token = signed_in(grants).refresh_token
    answers = [grants.refresh(token) for _ in range(3)]
    assert [answer.refresh_token for answer in answers] == ["", "", ""]
    assert len({answer.access_token for answer in answers}) == 3


def test_a_provider_may_give_no_refresh_token(grants: Grants, settings: ProviderSettings) -> None:
    """With refresh tokens switched off, the code's answer holds none."""
    settings.refresh_tokens = False
    assert signed_in(grants).refresh_token == ""


def test_revocation_ends_what_it_names(grants: Grants) -> None:
    """An access token ends alone, a refresh token with its grant, an unknown one without an error."""
    issued = signed_in(grants)
    grants.revoke("guess")
    grants.revoke(issued.access_token)
    assert grants.check(issued.access_token) is None
    successor = grants.refresh(issued.refresh_token)
    grants.revoke(successor.refresh_token)
    assert grants.check(successor.access_token) is None
    assert refused(grants, successor.refresh_token)


def test_revoking_all_ends_every_grant_and_code(grants: Grants) -> None:
    """Nothing issued before is good afterwards, and a new sign-in works."""
    issued, pending = signed_in(grants), code(grants)
    grants.revoke_all()
    assert grants.check(issued.access_token) is None
    with pytest.raises(GrantError):
        grants.redeem(pending, redirect_uri=CALLBACK, verifier=VERIFIER)
    assert grants.check(signed_in(grants).access_token) == "ann"


def test_no_secret_is_in_a_repr(grants: Grants) -> None:
    """The representation of issued tokens shows none of them."""
    issued = signed_in(grants)
    assert issued.access_token not in repr(issued)
    assert issued.refresh_token not in repr(issued)

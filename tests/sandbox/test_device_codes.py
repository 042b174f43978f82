from __future__ import annotations

import pytest

from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.device_codes import DeviceCodes
from jmap_proxy.sandbox.grants import Grant, GrantError
from tests.support.clock import Clock

ANN = Grant("ann", "mail")


def poll(codes: DeviceCodes, device_code: str, client_id: str = "c") -> str:
    """The outcome of a poll."""
    try:
        codes.poll(device_code, client_id)
    except GrantError as error:
        return error.code
    return "ok"


def test_a_device_waits_for_its_user(clock: Clock) -> None:
    """It is pending until the user has allowed it, and then gets what was allowed once."""
    codes = DeviceCodes(ProviderSettings(), clock)
    request = codes.start("c", "mail")
    assert poll(codes, request.device_code) == "authorization_pending"
    request.grant = ANN
    clock.now += 5
    assert codes.poll(request.device_code, "c") is ANN
    assert poll(codes, request.device_code) == "invalid_grant"


@pytest.mark.parametrize(("interval", "wait"), [(5, 5), (None, 5), (2, 2), (0, 0)])
def test_a_hasty_device_is_slowed_down(clock: Clock, interval: int | None, wait: float) -> None:
    """Each time by five seconds, for good (RFC 8628 §3.5)."""
    codes = DeviceCodes(ProviderSettings(device_interval=interval), clock)
    code = codes.start("c", "").device_code
    assert poll(codes, code) == "authorization_pending"
    clock.now += wait
    assert poll(codes, code) == "authorization_pending"
    clock.now += wait - 0.5
    assert poll(codes, code) == "slow_down"
    clock.now += wait + 4.5
    assert poll(codes, code) == "slow_down"
    clock.now += wait + 10
    assert poll(codes, code) == "authorization_pending"


def test_a_patient_device_can_be_slowed_down_too(clock: Clock) -> None:
    """As often as is asked for."""
    codes = DeviceCodes(ProviderSettings(), clock)
    code = codes.start("c", "").device_code
    codes.slow_downs = 1
    assert poll(codes, code) == "slow_down"
    clock.now += 9
    assert poll(codes, code) == "slow_down"
    clock.now += 15
    assert poll(codes, code) == "authorization_pending"


def test_a_refusal_is_told(clock: Clock) -> None:
    """In the words of the settings, if there are any."""
    codes = DeviceCodes(ProviderSettings(error_description="no!"), clock)
    request = codes.start("c", "")
    request.denied = True
    with pytest.raises(GrantError, match="access_denied: no!"):
        codes.poll(request.device_code, "c")


def test_a_code_ends(clock: Clock) -> None:
    """For the device and for its user."""
    codes = DeviceCodes(ProviderSettings(device_code_life=10), clock)
    request = codes.start("c", "")
    assert codes.undecided(request.user_code) is request
    clock.now += 10
    assert codes.undecided(request.user_code) is None
    assert poll(codes, request.device_code) == "expired_token"


def test_a_code_is_its_clients(clock: Clock) -> None:
    """Another client gets nothing for it, nor does a guess."""
    codes = DeviceCodes(ProviderSettings(), clock)
    request = codes.start("c", "")
    request.grant = ANN
    assert poll(codes, request.device_code, "other") == poll(codes, "guess") == "invalid_grant"


def test_a_user_code_is_read_generously(clock: Clock) -> None:
    """In any case, with or without the hyphen; but not once it is decided."""
    codes = DeviceCodes(ProviderSettings(), clock)
    request = codes.start("c", "")
    assert codes.undecided(request.user_code.lower().replace("-", " ")) is request
    assert codes.undecided("BCDF-GHJK-X") is None
    request.denied = True
    assert codes.undecided(request.user_code) is None


def test_no_secret_is_in_a_repr() -> None:
    """A request can be printed."""
    request = DeviceCodes(ProviderSettings(), Clock()).start("c", "")
    assert request.device_code not in repr(request)

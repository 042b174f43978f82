from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jmap_proxy.errors import ProviderError, SignInError
from jmap_proxy.oauth.keys import ProviderKeys
from jmap_proxy.sandbox import Fault
from tests.oauth.test_id_token import signed

if TYPE_CHECKING:
    from jmap_proxy.sandbox import IdentityProvider
    from tests.oauth.helpers import Parts


@pytest.fixture
def keys(parts: Parts) -> ProviderKeys:
    """The keys of that provider."""
    return ProviderKeys(parts.http, parts.discovery)


async def test_keys_come_from_where_the_metadata_says(keys: ProviderKeys, parts: Parts, idp: IdentityProvider) -> None:
    """Which is asked for once; a token that names no key is good with any."""
    assert (await keys.for_token(idp.issuer, signed(kid=None)))["keys"]
    await keys.for_token(idp.issuer, signed(kid=None))
    assert idp.metadata_requests == 1
    assert (await parts.discovery.metadata(idp.issuer)).jwks_uri == f"{idp.issuer}/jwks"


async def test_an_unknown_key_is_looked_for_once_more(keys: ProviderKeys, idp: IdentityProvider) -> None:
    """The provider may just have changed its keys, and their place; the check tells what is wrong if it has not."""
    fault = Fault(body=b'{"keys": [{"kid": "a"}]}')
    before = idp.metadata_requests
    idp.faults.add("jwks", Fault(body=b'{"keys": [{"kid": "old"}]}'))
    idp.faults.add("jwks", fault)
    assert await keys.for_token(idp.issuer, signed(kid="a")) == {"keys": [{"kid": "a"}]}
    assert idp.metadata_requests == before + 2
    assert (await keys.for_token(idp.issuer, signed(kid="never")))["keys"]


async def test_keys_that_have_moved_are_found(keys: ProviderKeys, parts: Parts, idp: IdentityProvider) -> None:
    """By metadata that is asked for anew, whether the old place answers or not."""
    for old in (f"{idp.issuer}/old-place", "http://127.0.0.1:1/jwks"):
        idp.settings.metadata_overrides = {"jwks_uri": old}
        parts.discovery.doubt(idp.issuer)
        assert (await parts.discovery.metadata(idp.issuer)).jwks_uri == old
        idp.settings.metadata_overrides = {}
        assert (await keys.for_token(idp.issuer, signed(kid=None)))["keys"]


@pytest.mark.parametrize("fault", [Fault(status=404), Fault(garbage=True), Fault(body=b"[]")])
async def test_keys_that_have_not_moved_are_asked_for_once(
    keys: ProviderKeys, idp: IdentityProvider, fault: Fault
) -> None:
    """What cannot be read is told."""
    idp.faults.add("jwks", fault)
    with pytest.raises(SignInError, match="keys cannot be read"):
        await keys.for_token(idp.issuer, signed())


async def test_a_provider_without_keys_is_told(keys: ProviderKeys, idp: IdentityProvider) -> None:
    """An ID token cannot be checked there; one that cannot be reached is another matter."""
    idp.settings.metadata_overrides = {"jwks_uri": None}
    with pytest.raises(SignInError, match="names no keys"):
        await keys.for_token(idp.issuer, signed())
    idp.settings.metadata_overrides = {"jwks_uri": "http://sso.example/jwks"}
    with pytest.raises(ProviderError, match="plain http"):
        await ProviderKeys(keys._http, type(keys._discovery)(keys._http, lambda: 0)).for_token(idp.issuer, signed())

import pytest

from jmap_proxy.errors import UpstreamRefusedToken
from jmap_proxy.proxy.source import FixedToken


async def test_a_fixed_token_has_no_successor() -> None:
    """It is given as it is; after a 401 there is a clear error with a hint and without the token."""
    source = FixedToken("secret-token")
    assert await source.ensure_valid_token() == "secret-token"
    with pytest.raises(UpstreamRefusedToken) as caught:
        await source.replace_rejected("secret-token")
    assert caught.value.hint
    assert "secret-token" not in str(caught.value.problem())

from __future__ import annotations

import pytest

from jmap_proxy.errors import UpstreamRefusedToken
from jmap_proxy.proxy.fixed_token import FixedToken


async def test_a_fixed_token_has_no_successor() -> None:
    """It is given as it is; after a 401 there is the error that was asked for, without the token."""
    source = FixedToken("secret-token", "refused", "compare")
    assert await source.ensure_valid_token() == "secret-token"
    with pytest.raises(UpstreamRefusedToken) as caught:
        await source.replace_rejected("secret-token")
    assert (caught.value.detail, caught.value.hint) == ("refused", "compare")
    assert "secret-token" not in str(caught.value.problem())

from __future__ import annotations

from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import KeySet

from jmap_proxy.sandbox.signing_key import SigningKey


def test_the_public_half_verifies_and_holds_no_secret() -> None:
    """What the key signs, its JWKS verifies; the private parts are not in it."""
    key = SigningKey()
    public: Any = key.jwks()
    assert jwt.decode(key.sign({"x": 1}), KeySet.import_key_set(public)).claims == {"x": 1}
    assert not {"d", "p", "q"} & public["keys"][0].keys()


def test_a_foreign_signature_bears_the_true_id() -> None:
    """A forged token names the true key and does not verify with it."""
    key = SigningKey()
    public: Any = key.jwks()
    with pytest.raises(BadSignatureError):
        jwt.decode(key.sign({"x": 1}, foreign=True), KeySet.import_key_set(public))

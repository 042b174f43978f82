import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jmap_proxy.tokens import TokenSet
from jmap_proxy.tokens.datakey import DataKey
from jmap_proxy.tokens.envelope import EnvelopeError, seal, unseal
from jmap_proxy.tokens.tokenset import SCHEMA_VERSION
from tests.tokens.builders import token_set

KEY = DataKey(bytes(range(32)))
SEALED = seal(token_set(), KEY)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
TIMES = st.floats(0, 1e12)


@st.composite
def token_sets(draw: st.DrawFn) -> TokenSet:
    """Return tokens with any texts and times."""
    return token_set(
        draw(st.integers(0, 2**53)),
        access_token=draw(TEXTS),
        refresh_token=draw(TEXTS),
        account=draw(TEXTS),
        obtained_at=draw(TIMES),
        expires_at=draw(TIMES),
    )


@given(tokens=token_sets())
def test_what_is_sealed_is_unsealed(tokens: TokenSet) -> None:
    """The tokens come back as they were."""
    assert unseal(seal(tokens, KEY), KEY) == tokens


def test_two_seals_differ() -> None:
    """Each seal has a nonce of its own."""
    assert seal(token_set(), KEY) != seal(token_set(), KEY)


@given(place=st.integers(0, len(SEALED) - 1), flip=st.integers(1, 255))
@example(place=len(SEALED) - 2, flip=1)
def test_any_changed_byte_is_refused(place: int, flip: int) -> None:
    """There is no byte, the last bits of the encoding included, that can be changed unnoticed."""
    damaged = bytearray(SEALED)
    damaged[place] ^= flip
    with pytest.raises(EnvelopeError):
        unseal(bytes(damaged), KEY)


@given(data=st.binary() | st.builds(lambda head, tail: head + b"." + tail, st.just(SEALED[:60]), st.binary()))
def test_anything_else_is_refused(data: bytes) -> None:
    """No bytes cause any other error than EnvelopeError."""
    with pytest.raises(EnvelopeError):
        unseal(data, KEY)


@pytest.mark.parametrize("end", range(0, len(SEALED) - 1, 7))
def test_a_cut_off_envelope_is_refused(end: int) -> None:
    """A file that was written in part only is damaged."""
    with pytest.raises(EnvelopeError):
        unseal(SEALED[:end], KEY)


def test_another_key_is_named_as_the_reason() -> None:
    """The message says which key this is, and nothing of the key itself."""
    other = DataKey(b"y" * 32)
    with pytest.raises(EnvelopeError, match=f"another data key .*{other.key_id}"):
        unseal(SEALED, other)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, 99])
def test_another_version_is_named_as_the_reason(version: int) -> None:
    """A form that this program does not know is not taken for damage."""
    with pytest.raises(EnvelopeError, match=f"written in form {version}"):
        unseal(seal(token_set(schema_version=version), KEY), KEY)


@pytest.mark.parametrize("content", [{"generation": "one"}, {"expires_at": "later"}])
def test_tokens_of_the_wrong_shape_are_refused(content: dict[str, str]) -> None:
    """What decrypts but does not hold tokens is damaged."""
    with pytest.raises(EnvelopeError, match="does not hold tokens"):
        unseal(seal(msgspec.structs.replace(token_set(), **content), KEY), KEY)

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.cli.changes import Changes, compare, in_force
from jmap_proxy.config import Account, Config, Limits, Listen, Store

ALICE = Account(server="https://mail.example.com", issuer="https://sso.example.com", client_id="c")
ACCOUNTS = st.dictionaries(
    st.sampled_from("abc"),
    st.sampled_from([ALICE, msgspec.structs.replace(ALICE, rewrite="force")]),
)
LIMITS = st.builds(Limits, connections=st.integers(1, 3), body_idle=st.floats(1, 3), upload_replay=st.integers(0, 3))
CONFIGS = st.builds(
    Config,
    accounts=ACCOUNTS,
    limits=LIMITS,
    listen=st.sampled_from([Listen(), Listen(hosts=("h",))]),
    store=st.sampled_from([Store(), Store(key="file")]),
)


def test_accounts_are_new_gone_changed_or_the_same() -> None:
    """Any setting counts; the order does not."""
    other = msgspec.structs.replace(ALICE, scopes=("mail",))
    before = Config(accounts={"gone": ALICE, "same": ALICE, "changed": ALICE})
    after = Config(accounts={"new": ALICE, "changed": other, "same": ALICE})
    assert compare(before, after) == Changes(("new",), ("gone",), ("changed",), ("same",), ())


@pytest.mark.parametrize(("key", "value"), [("http", ""), ("https", "x:1"), ("admin", "x:1"), ("unix", "s")])
def test_addresses_of_listeners(key: str, value: str) -> None:
    """Each is named by its key; what else stands in [listen] moves none."""
    after = Config(listen=msgspec.structs.replace(Listen(hosts=("mail.lan",)), **{key: value}))
    assert compare(Config(), after).addresses == (f"listen.{key}",)


def test_addresses_of_accounts() -> None:
    """A port that comes, moves or goes with its account."""
    own = {port: msgspec.structs.replace(ALICE, listen=f"127.0.0.1:{port}") for port in (1, 2)}
    before = Config(accounts={"goes": own[1], "moves": own[1], "stays": own[1], "none": ALICE})
    after = Config(accounts={"moves": own[2], "stays": own[1], "comes": own[1]})
    assert compare(before, after).addresses == tuple(f"accounts.{name}.listen" for name in ("comes", "goes", "moves"))


@given(CONFIGS, CONFIGS)
def test_each_account_is_in_one_group(before: Config, after: Config) -> None:
    """Nothing is forgotten, and nothing done twice."""
    changes = compare(before, after)
    assert sorted((*changes.new, *changes.changed, *changes.same)) == sorted(after.accounts)
    assert sorted((*changes.gone, *changes.changed, *changes.same)) == sorted(before.accounts)


@given(CONFIGS, CONFIGS)
def test_what_needs_a_restart_stays_as_it_is(running: Config, wanted: Config) -> None:
    """The rest is taken over at once; what is told to be late is just what was not taken over."""
    config, late = in_force(running, wanted)
    assert (config.accounts, config.listen) == (wanted.accounts, wanted.listen)
    assert (config.store, config.limits.connections) == (running.store, running.limits.connections)
    assert (config.limits.body_idle, config.limits.upload_replay) == (
        wanted.limits.body_idle,
        wanted.limits.upload_replay,
    )
    assert bool(late) is (config != wanted)
    assert in_force(config, wanted) == (config, late)


def test_the_keys_that_need_a_restart_are_named() -> None:
    """As they stand in the file."""
    wanted = Config(limits=Limits(head=1, body_idle=1, first_byte=1), store=Store(key="file"))
    assert in_force(Config(), wanted)[1] == ["store.key", "limits.head", "limits.first_byte"]

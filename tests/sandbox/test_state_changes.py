import pytest

from jmap_proxy.sandbox.state_changes import StateChange, StateChanges


async def test_who_listens_hears_of_changes_in_order() -> None:
    """Changes are numbered, come in order, and end when the server closes."""
    changes = StateChanges()
    with changes.listen() as listening:
        changes.publish({"a": {"Email": "1"}})
        changes.publish({"a": {"Email": "2"}})
        changes.close()
        first, second = await listening.next(), await listening.next(within=1)
        assert first == StateChange(1, {"a": {"Email": "1"}})
        assert second == changes.latest
        assert await listening.next() is None


async def test_waiting_can_be_bounded() -> None:
    """Without a change in time there is a TimeoutError."""
    with StateChanges().listen() as listening, pytest.raises(TimeoutError):
        await listening.next(within=0.001)


def test_a_change_is_cut_down_to_the_types_asked_for() -> None:
    """Other types and accounts without a type asked for are left out."""
    change = StateChange(1, {"a": {"Email": "1", "Mailbox": "2"}, "b": {"Mailbox": "3"}})
    assert change.for_types(frozenset({"Email"})) == {"@type": "StateChange", "changed": {"a": {"Email": "1"}}}
    assert change.for_types(frozenset({"Thread"})) is None
    whole = change.for_types(None)
    assert whole is not None
    assert whole["changed"] == change.changed

from __future__ import annotations

import os

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from jmap_proxy.cli.workers.option import MOST, usable_cores, with_workers, worker_count


@click.command()
@with_workers
def told(workers: int) -> None:
    """Tell how many there are to be."""
    click.echo(str(workers))


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ((), 1),
        (("--workers", "4"), 4),
        (("--workers", "auto"), usable_cores()),
        (("--workers", "AUTO"), usable_cores()),
    ],
)
def test_how_many_there_are_to_be(arguments: tuple[str, ...], number: int) -> None:
    """One, where nothing is said."""
    assert CliRunner().invoke(told, arguments).output == f"{number}\n"


@pytest.mark.parametrize("text", ["0", "-1", "129", "9" * 5000, "two", "", "1.5", "²"])
def test_what_is_no_number_of_workers(text: str) -> None:
    """Is an error of the command line, and says what is one."""
    result = CliRunner().invoke(told, ["--workers", text])
    assert result.exit_code == 2
    assert f"neither a number from 1 to {MOST} nor auto" in result.output


@given(cores=st.integers(0, 10_000))
def test_one_for_each_core(cores: int) -> None:
    """At least one, and not more than there may be."""
    assert worker_count("auto", cores) == max(1, min(cores, MOST))


def test_the_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell, all that it has."""
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_cores() == os.cpu_count()

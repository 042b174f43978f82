from collections import Counter

from bench.profile import add_up, part_of, places, profile_lines

STACKS = """\
jmap_proxy/proxy/fast/lane.py:Lane.begin;jmap_proxy/proxy/upstream/connections.py:PooledConnection.ask 3
jmap_proxy/proxy/fast/lane.py:Lane.begin 2
 4
"""

SCRIPT = """\
jmap-proxy
\tffffffff81 _raw_spin_unlock ([kernel.kallsyms])
\tffffffff82 ksys_write ([kernel.kallsyms])
\t7f01 __libc_write (/lib/x86_64-linux-gnu/libc.so.6)

jmap-proxy
\tffffffff83 asm_sysvec_apic_timer_interrupt ([kernel.kallsyms])
\t7f02 _PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)

jmap-proxy
\t7f02 _PyEval_EvalFrameDefault (/usr/lib/libpython3.11.so.1.0)
\t7f01 __libc_write (/lib/x86_64-linux-gnu/libc.so.6)

"""


def test_samples_are_added_up() -> None:
    """By part, by function, by function with what it calls; an empty stack is the loop itself."""
    parts, own, whole = add_up(STACKS)
    ask, begin = (
        "jmap_proxy/proxy/upstream/connections.py:PooledConnection.ask",
        "jmap_proxy/proxy/fast/lane.py:Lane.begin",
    )
    assert own == {ask: 3, begin: 2, "the loop": 4}
    assert whole == {begin: 5, ask: 3, "the loop": 4}
    assert parts == {
        "the server's connection": 3,
        "lane and crossing": 2,
        "the loop, and reading from sockets": 4,
    }


def test_a_part_is_told_by_the_first_place_that_fits() -> None:
    """What is of no part is the rest."""
    assert part_of("jmap_proxy/proxy/fast/known_answer.py:KnownAnswer.for_client") == "knowing heads again"
    assert part_of("jmap_proxy/proxy/fast/crossing.py:Crossing.heard") == "lane and crossing"
    assert part_of("enum.py:property.__get__") == "the rest"


def test_time_in_the_kernel_is_told_by_system_call() -> None:
    """Whatever the kernel does for it; outside of it the innermost frame's library counts."""
    assert places(SCRIPT) == {"kernel: write": 1, "kernel: anything else": 1, "libpython3.11.so.1.0": 1}


def test_the_page_shows_what_has_a_share() -> None:
    """In microseconds too; what is next to nothing is left out."""
    lines = profile_lines(20e-6, Counter({"kernel: write": 750, "libc": 249, "libm": 1}), Counter({"counting": 1}))
    assert lines[0] == "20 µs of processor time a call."
    assert "| kernel: write | 75 % | 15.0 |" in lines
    assert "| counting | 100 % | 20.0 |" in lines
    assert not any("libm" in line for line in lines)

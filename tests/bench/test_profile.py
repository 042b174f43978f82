from bench.profile import add_up

STACKS = """\
main (bench/x.py:1);run (/somewhere/jmap_proxy/proxy/forward.py);send (/lib/aiohttp/connector.py:7) 3
main (bench/x.py:1);run (/somewhere/jmap_proxy/proxy/forward.py) 2

"""


def test_samples_are_added_up() -> None:
    """By file, by function, and by function with what it calls; no place of this machine is told."""
    files, own, whole, total = add_up(STACKS)
    assert total == 5
    assert files == {"aiohttp/connector.py": 3, "jmap_proxy/proxy/forward.py": 2}
    assert own == {"aiohttp/connector.py:send": 3, "jmap_proxy/proxy/forward.py:run": 2}
    assert whole == {"x.py:main": 5, "jmap_proxy/proxy/forward.py:run": 5, "aiohttp/connector.py:send": 3}

from bench.profile import add_up

STACKS = """\
main (cli/x.py);Runner.run (asyncio/runners.py);run (/a/jmap_proxy/proxy/forward.py);send (/b/aiohttp/client.py:7) 3
main (cli/x.py);Runner.run (asyncio/runners.py);run (/a/jmap_proxy/proxy/forward.py) 2
_worker (concurrent/futures/thread.py) 100

"""


def test_samples_are_added_up() -> None:
    """Of the loop's thread: by file, by function, by function with what it calls; no place of this machine is told."""
    files, own, whole, total = add_up(STACKS)
    assert total == 5
    assert files == {"aiohttp/client.py": 3, "jmap_proxy/proxy/forward.py": 2}
    assert own == {"aiohttp/client.py:send": 3, "jmap_proxy/proxy/forward.py:run": 2}
    assert whole == {"jmap_proxy/proxy/forward.py:run": 5, "aiohttp/client.py:send": 3}

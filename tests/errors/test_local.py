from jmap_proxy.errors import AddressTaken, ConfigError, WorkerError


def test_a_taken_address_can_be_tried_again() -> None:
    """A service manager starts the proxy again then, and does not for a wrong configuration (sysexits.h)."""
    assert issubclass(AddressTaken, ConfigError)
    assert (ConfigError.exit_code, AddressTaken.exit_code) == (78, 75)


def test_a_worker_is_replaced() -> None:
    """So who asks may ask again soon."""
    error = WorkerError("a worker has ended")
    assert (error.status, error.headers()) == (503, {"Retry-After": "1"})
    assert "log" in error.hint

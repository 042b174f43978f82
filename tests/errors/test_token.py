from jmap_proxy.errors import ClientRefused, SignInNeeded


def test_what_does_not_mend_itself_has_no_retry_after() -> None:
    """A sign-in that is gone names the command instead."""
    error = SignInNeeded("alice", "gone")
    assert (error.status, error.headers(), error.hint) == (503, {}, "run: jmap-proxy login alice")
    assert str(error) == "account 'alice': gone"


def test_a_refused_client_names_its_own_mend_or_the_settings() -> None:
    """It is tried again, since the provider may be set right."""
    error = ClientRefused("alice", "invalid_client", retry_after=3)
    assert "client_secret_file" in error.hint
    assert "jmap-proxy login alice" in error.hint
    assert error.headers() == {"Retry-After": "3"}
    assert ClientRefused("alice", "forgotten", retry_after=3, mend="sign in").hint == "sign in"

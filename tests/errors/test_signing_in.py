from jmap_proxy.errors import AnswerLost, DiscoveryError, ProviderError, ServerUnreachable, SignInError, WrongPerson


def test_whoever_catches_the_family_catches_its_members() -> None:
    """What is done about the one is done about the others."""
    assert issubclass(AnswerLost, ProviderError)
    assert issubclass(ServerUnreachable, DiscoveryError)
    assert issubclass(WrongPerson, SignInError)


def test_what_helps_decides_the_exit_code() -> None:
    """Another try later where something cannot be reached; the user where the sign-in did not succeed."""
    assert {each.exit_code for each in (ProviderError, AnswerLost, DiscoveryError, ServerUnreachable)} == {69}
    assert {each.exit_code for each in (SignInError, WrongPerson)} == {77}

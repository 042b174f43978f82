from jmap_proxy.status.metrics import metrics_text
from jmap_proxy.tokens.report import State, TokenReport


def test_a_lost_sign_in_is_a_metric() -> None:
    """Each account has one state; what is not known of its token is nought."""
    good = TokenReport(state=State.OK, generation=7, expires_at=1060.0)
    text = metrics_text({"alice": good, 'b"o\\b\n': TokenReport(state=State.NEEDS_LOGIN)}, 1000.0).decode()
    lines = text.splitlines()
    assert 'jmap_proxy_account_state{account="alice",state="ok"} 1.0' in lines
    assert 'jmap_proxy_account_state{account="alice",state="needs_login"} 0.0' in lines
    assert 'jmap_proxy_account_state{account="b\\"o\\\\b\\n",state="needs_login"} 1.0' in lines
    assert 'jmap_proxy_token_seconds_left{account="alice"} 60.0' in lines
    assert 'jmap_proxy_token_generation{account="alice"} 7.0' in lines


def test_without_accounts_there_is_nothing_to_tell() -> None:
    """The families are there all the same."""
    assert metrics_text({}, 0.0).decode().count("# TYPE") == 3

import pytest

from jmap_proxy.sandbox import ProviderSettings
from jmap_proxy.sandbox.client_authentication import check_client
from jmap_proxy.sandbox.grants import GrantError

PUBLIC = ProviderSettings()
CONFIDENTIAL = ProviderSettings(client_secret="s")


def test_a_public_client_names_itself() -> None:
    """The id alone is enough where there is no secret, and a secret made up is refused."""
    check_client({"client_id": "jmap-proxy"}, "", PUBLIC)
    with pytest.raises(GrantError, match="client_secret"):
        check_client({"client_id": "jmap-proxy", "client_secret": "x"}, "", PUBLIC)


def test_basic_counts_before_the_form() -> None:
    """With an Authorization header the form's credentials are not looked at."""
    form = {"client_id": "jmap-proxy", "client_secret": "s"}
    check_client(form, "", CONFIDENTIAL)
    with pytest.raises(GrantError, match="client_id"):
        check_client(form, "Basic b3RoZXI6cw==", CONFIDENTIAL)

"""The token endpoint and the revocation endpoint: forms in, JSON out (RFC 6749 §3.2, RFC 7009)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import hdrs, web

from jmap_proxy.sandbox.client_authentication import check_client
from jmap_proxy.sandbox.faults import CLIENT_GONE, Faults
from jmap_proxy.sandbox.grants import GrantError, Grants, Issued
from jmap_proxy.sandbox.provider_settings import ProviderSettings

NO_STORE = {hdrs.CACHE_CONTROL: "no-store", hdrs.PRAGMA: "no-cache"}
FORM = "application/x-www-form-urlencoded"


@dataclass
class TokenRequest:
    """One request at the token endpoint, as a test wants to see it.

    Attributes:
        grant_type: What the form says, empty if nothing.
        form: The form as sent.
        authorization: The `Authorization` header as sent, empty if none.
        outcome: `pending` while it waits; then `ok`, the error code, `fault` if a fault answered in the
            endpoint's place, or `gone` if the connection went away before the request was handled.
    """

    grant_type: str
    form: dict[str, str] = field(repr=False)
    authorization: str = field(repr=False)
    outcome: str = "pending"


class TokenEndpoint:
    """Answers token and revocation requests.

    Args:
        settings: The known client.
        grants: The rules.
        faults: The faults armed at `token` and `revoke`.
        render: Turns issued tokens into the answer's JSON object.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        grants: Grants,
        faults: Faults,
        render: Callable[[Issued], dict[str, Any]],
    ) -> None:
        self.requests: list[TokenRequest] = []
        self._settings = settings
        self._grants = grants
        self._faults = faults
        self._render = render

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /token`. Waits come before the grant is touched; then all happens in one step."""
        record = await _recorded(request)
        self.requests.append(record)

        async def endpoint() -> web.Response:
            record.outcome = "ok"
            return self._answer(record, lambda: self._render(self._exchange(record.form)))

        response = await self._faults.meet("token", request, endpoint)
        if record.outcome == "pending":
            record.outcome = "gone" if response.status == CLIENT_GONE else "fault"
        return response

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """Answer `POST /revoke`: 200 whether or not the token was known (RFC 7009 §2.2)."""
        record = await _recorded(request)

        async def endpoint() -> web.Response:
            return self._answer(record, lambda: self._revoke(record.form))

        return await self._faults.meet("revoke", request, endpoint)

    def _answer(self, record: TokenRequest, act: Callable[[], dict[str, Any]]) -> web.Response:
        try:
            check_client(record.form, record.authorization, self._settings)
            return web.json_response(act(), headers=NO_STORE)
        except GrantError as error:
            record.outcome = error.code
            return _refusal(error, record.authorization)

    def _exchange(self, form: dict[str, str]) -> Issued:
        match form.get("grant_type"):
            case "authorization_code":
                return self._grants.redeem(
                    _needed(form, "code"),
                    redirect_uri=_needed(form, "redirect_uri"),
                    verifier=_needed(form, "code_verifier"),
                )
            case "refresh_token":
                return self._grants.refresh(_needed(form, "refresh_token"))
            case None:
                raise GrantError("invalid_request", "grant_type is missing")
            case _:
                raise GrantError("unsupported_grant_type", "only authorization_code and refresh_token")

    def _revoke(self, form: dict[str, str]) -> dict[str, Any]:
        self._grants.revoke(_needed(form, "token"))
        return {}


async def _recorded(request: web.Request) -> TokenRequest:
    """Read the form. A body that is no form counts as an empty one; of a repeated key the last one counts."""
    fields = await request.post() if request.content_type == FORM else {}
    form = {key: str(value) for key, value in fields.items()}
    return TokenRequest(form.get("grant_type", ""), form, request.headers.get(hdrs.AUTHORIZATION, ""))


def _needed(form: dict[str, str], key: str) -> str:
    if not form.get(key):
        raise GrantError("invalid_request", f"{key} is missing")
    return form[key]


def _refusal(error: GrantError, authorization: str) -> web.Response:
    """Return the error answer of RFC 6749 §5.2: 401 for a client that is not known, else 400."""
    body = {"error": error.code, "error_description": error.description}
    unknown = error.code == "invalid_client"
    headers = dict(NO_STORE)
    if unknown and authorization:
        headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="sandbox"'
    return web.json_response(body, status=401 if unknown else 400, headers=headers)

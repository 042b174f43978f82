"""The status page on the admin listener: shows how the accounts are doing, and begins a sign-in when it is told to."""

from __future__ import annotations

import hmac
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from aiohttp import web

from jmap_proxy.errors import NotAnEndpoint, OriginRefused, RequestMalformed
from jmap_proxy.proxy.wire.headers import SAFE_FOR_BROWSERS
from jmap_proxy.status.page import content_security_policy, page_html

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jmap_proxy.status.sign_in_again import SignInAgain
    from jmap_proxy.status.traffic import Traffic
    from jmap_proxy.tokens.report import TokenReport

LONGEST_FORM = 4096
"""Bytes; an account's name and a token are all that a form brings."""

FORM = "application/x-www-form-urlencoded"


class StatusPage:
    """Answers for `/` and `/sign-in`; who may ask has been checked before.

    Args:
        reports: How the accounts are doing now.
        servers: The accounts' servers, as configured.
        sign_in_again: Runs the sign-ins.
        traffic: Of the last hour.
        clock: Epoch seconds.
    """

    def __init__(
        self,
        reports: Callable[[], Mapping[str, TokenReport]],
        servers: Callable[[], Mapping[str, str]],
        sign_in_again: SignInAgain,
        traffic: Traffic,
        clock: Callable[[], float],
    ) -> None:
        self._reports = reports
        self._servers = servers
        self._sign_in_again = sign_in_again
        self._traffic = traffic
        self._clock = clock
        self._csrf = secrets.token_urlsafe(32)

    async def show(self, request: web.BaseRequest) -> web.Response:
        """The page."""
        del request
        text = page_html(
            self._reports(),
            self._servers(),
            self._sign_in_again.progress,
            self._traffic.minutes(),
            self._traffic.troubles(),
            csrf=self._csrf,
            now=self._clock(),
        )
        headers = {"Cache-Control": "no-store", "Content-Security-Policy": content_security_policy()}
        return web.Response(text=text, content_type="text/html", headers={**dict(SAFE_FOR_BROWSERS), **headers})

    async def sign_in(self, request: web.BaseRequest) -> web.Response:
        """Begin a sign-in, and send the browser back to the page, which says where it goes on.

        Raises:
            OriginRefused: the form is not from a page of this process.
            RequestMalformed: it is no form.
            NotAnEndpoint: there is no such account.
        """
        form = await _form(request)
        if not hmac.compare_digest(form.get("csrf", "").encode(), self._csrf.encode()):
            raise OriginRefused("the form is not from this page", hint="reload the status page and press it again")
        account = form.get("account", "")
        if account not in self._reports():
            raise NotAnEndpoint("there is no such account any more", hint="reload the status page")
        await self._sign_in_again.begin(account)
        return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/", **dict(SAFE_FOR_BROWSERS)})


async def _form(request: web.BaseRequest) -> dict[str, str]:
    length = request.content_length
    if request.content_type != FORM or length is None or length > LONGEST_FORM:
        raise RequestMalformed(f"a form of at most {LONGEST_FORM} bytes is expected")
    fields = parse_qs((await request.read()).decode("utf-8", "replace"), max_num_fields=8)
    return {name: values[0] for name, values in fields.items() if len(values) == 1}

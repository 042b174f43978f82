"""The status page on the admin listener: shows how the accounts are doing, and begins a sign-in when it is told to."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import structlog
from aiohttp import web

from jmap_proxy.proxy.wire.headers import SAFE_FOR_BROWSERS
from jmap_proxy.status.health import READ, Page
from jmap_proxy.status.page import content_security_policy, page_html

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jmap_proxy.status.sign_in_again import SignInAgain
    from jmap_proxy.status.traffic import Traffic
    from jmap_proxy.tokens.report import TokenReport

LONGEST_FORM = 4096
"""Bytes; an account's name and a token are all that a form brings."""

FORM_PATIENCE = 10.0
"""Seconds for it to come, from this same machine."""

MOST_FIELDS = 8

FORM = "application/x-www-form-urlencoded"
POST = frozenset({"POST"})

log = structlog.get_logger("jmap_proxy.status")


class StatusPage:
    """Answers for `/` and `/sign-in`; who may ask has been checked before.

    Args:
        reports: How the accounts are doing now.
        servers: The accounts' servers, as configured.
        sign_in_again: Runs the sign-ins.
        traffic: Of the last hour.
        clock: Epoch seconds.
        form_patience: Seconds for a form to come.
    """

    def __init__(
        self,
        reports: Callable[[], Mapping[str, TokenReport]],
        servers: Callable[[], Mapping[str, str]],
        sign_in_again: SignInAgain,
        traffic: Traffic,
        clock: Callable[[], float],
        form_patience: float = FORM_PATIENCE,
    ) -> None:
        self._reports = reports
        self._servers = servers
        self._sign_in_again = sign_in_again
        self._traffic = traffic
        self._clock = clock
        self._form_patience = form_patience
        self._csrf = secrets.token_urlsafe(32)

    def pages(self) -> dict[str, Page]:
        """What is at which path of the admin listener."""
        return {"/": Page(READ, self.show), "/sign-in": Page(POST, self.sign_in)}

    async def show(self, request: web.BaseRequest) -> web.Response:
        """The page. Changes nothing."""
        del request
        return self._page()

    async def sign_in(self, request: web.BaseRequest) -> web.Response:
        """Begin a sign-in, and send the browser back to the page, which says where it goes on.

        A form that cannot be heeded is answered with the page as it is now, from which it can be sent again.
        """
        try:
            account = self._account_of(await _form(request, self._form_patience))
        except _UnheededError as error:
            log.info("form not heeded", reason=error.reason)
            return self._page(error.status, f"Nothing was done: {error.reason}.")
        await self._sign_in_again.begin(account)
        return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": "/", **dict(SAFE_FOR_BROWSERS)})

    def _account_of(self, form: Mapping[str, str]) -> str:
        """Whom the form wants to sign in. Raises _UnheededError."""
        if not hmac.compare_digest(form.get("csrf", "").encode(), self._csrf.encode()):
            raise _UnheededError(HTTPStatus.FORBIDDEN, "the page was out of date; press the button again")
        account = form.get("account", "")
        report = self._reports().get(account)
        if report is None:
            raise _UnheededError(HTTPStatus.NOT_FOUND, "that account is not served any more")
        if not report.generation:
            raise _UnheededError(HTTPStatus.NOT_FOUND, "that account was never signed in; see below how to")
        return account

    def _page(self, status: int = HTTPStatus.OK, notice: str = "") -> web.Response:
        text = page_html(
            self._reports(),
            self._servers(),
            self._sign_in_again.progress,
            self._traffic.minutes(),
            self._traffic.troubles(),
            csrf=self._csrf,
            now=self._clock(),
            notice=notice,
        )
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": content_security_policy(),
            "Referrer-Policy": "same-origin",  # without any, a form's Origin would be "null" (Fetch §3.1)
        }
        return web.Response(
            status=status, text=text, content_type="text/html", headers={**dict(SAFE_FOR_BROWSERS), **headers}
        )


class _UnheededError(Exception):
    """A form that does nothing; it is told to who has sent it, on the page itself.

    Args:
        status: Of the answer.
        reason: Why.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


async def _form(request: web.BaseRequest, patience: float) -> dict[str, str]:
    """The fields that a form brings once. Raises _UnheededError."""
    length = request.content_length
    if request.content_type != FORM or length is None or length > LONGEST_FORM or "Content-Encoding" in request.headers:
        raise _UnheededError(HTTPStatus.BAD_REQUEST, "it was no form of this page")
    try:
        async with asyncio.timeout(patience):
            body = await request.read()
        fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
    except TimeoutError:
        raise _UnheededError(HTTPStatus.REQUEST_TIMEOUT, "it did not come whole") from None
    except ValueError:
        raise _UnheededError(HTTPStatus.BAD_REQUEST, "it was no form of this page") from None
    return {name: values[0] for name, values in fields.items() if len(values) == 1}

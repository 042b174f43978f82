"""A robot browser: goes through a sign-in as a patient user would. Knows HTTP and HTML, nothing of OAuth."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from aiohttp import ClientResponse, ClientSession, ClientTimeout, CookieJar, hdrs
from yarl import URL

if TYPE_CHECKING:
    import ssl

MAX_STEPS = 20
TIMEOUT = 30
"""Seconds that one page may take."""
TYPED = "demo"
"""What is typed into text fields that are empty, unless the caller says otherwise."""
_TEXT_FIELDS = frozenset({"text", "password", "email"})
_SEE_OTHER = frozenset({301, 302, 303})
_SAME_METHOD = frozenset({307, 308})


class LostBrowserError(Exception):
    """No final page was reached in `MAX_STEPS` steps."""


@dataclass(frozen=True)
class Step:
    """One request of the browser."""

    url: str
    method: str = hdrs.METH_GET
    fields: tuple[tuple[str, str], ...] = ()


@dataclass
class Form:
    """One HTML form as found on a page.

    Attributes:
        action: Where it leads.
        method: GET or POST.
        fields: What is filled in.
        pressed: The button that is pressed, if it has a name.
    """

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    pressed: list[tuple[str, str]] = field(default_factory=list)


class _FormFinder(HTMLParser):
    """Collects a page's forms, filled in.

    Args:
        typed: What is typed into text fields that are empty.
        press: The value of the button to press where there are several.
    """

    def __init__(self, typed: str, press: str) -> None:
        super().__init__()
        self._typed = typed
        self._press = press
        self.forms: list[Form] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a form, or of a field inside the open one."""
        values = {key: value or "" for key, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get").upper()))
            self._open = True
        elif tag in {"input", "button"} and self._open and values.get("name"):
            self._add_field(values, "submit" if tag == "button" else values.get("type", "text").lower())

    def handle_endtag(self, tag: str) -> None:
        """Close the open form."""
        if tag == "form":
            self._open = False

    def _add_field(self, values: dict[str, str], kind: str) -> None:
        form, value = self.forms[-1], values.get("value", "")
        if kind in {"checkbox", "radio"} and "checked" not in values:
            return
        if kind == "submit":
            if form.pressed and (not self._press or value != self._press):
                return
            form.pressed = [(values["name"], value)]
            return
        if kind in _TEXT_FIELDS and not value:
            value = self._typed
        form.fields.append((values["name"], value))


async def browse(
    url: str, *, ssl_context: ssl.SSLContext | None = None, typed: str = TYPED, press: str = ""
) -> tuple[int, str]:
    """Open a URL and go on until a page asks for nothing more.

    Redirects are followed, a page's lone form is submitted, cookies are kept for this one call.

    Args:
        url: Where to begin.
        ssl_context: Trust for https; the system's without it.
        typed: What is typed into text fields that are empty.
        press: The value of the button to press where a form has several; the first one's without it.

    Returns:
        The last page's status and text.

    Raises:
        LostBrowserError: There was always another step to take.
    """
    jar, timeout = CookieJar(unsafe=True), ClientTimeout(total=TIMEOUT)
    async with ClientSession(cookie_jar=jar, timeout=timeout) as session:
        step = Step(url)
        for _ in range(MAX_STEPS):
            async with session.request(
                step.method,
                URL(step.url, encoded=True),
                data=list(step.fields) or None,
                allow_redirects=False,
                ssl=ssl_context or True,
            ) as response:
                page = await response.text(errors="replace")
                following = redirect_of(response, step) or form_of(page, step.url, typed, press)
                if following is None:
                    return response.status, page
                step = following
    raise LostBrowserError(f"no final page after {MAX_STEPS} steps")


def redirect_of(response: ClientResponse, step: Step) -> Step | None:
    """The step to which a response redirects, None if it does not."""
    location = response.headers.get(hdrs.LOCATION)
    if location is None or response.status not in _SEE_OTHER | _SAME_METHOD:
        return None
    target = urljoin(step.url, location)
    return Step(target, step.method, step.fields) if response.status in _SAME_METHOD else Step(target)


def form_of(page: str, url: str, typed: str = TYPED, press: str = "") -> Step | None:
    """The step that submits a page's form, None unless the page has exactly one.

    Args:
        page: The page's HTML.
        url: The page's own address.
        typed: What is typed into text fields that are empty.
        press: The value of the button to press.
    """
    finder = _FormFinder(typed, press)
    finder.feed(page)
    if len(finder.forms) != 1:
        return None
    form, target = finder.forms[0], urljoin(url, finder.forms[0].action)
    fields = (*form.fields, *form.pressed)
    if form.method == hdrs.METH_POST:
        return Step(target, hdrs.METH_POST, fields)
    return Step(str(URL(target).with_query(fields)))

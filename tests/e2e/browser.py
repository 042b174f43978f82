"""A browser without a person: follows redirects and keeps cookies."""

from __future__ import annotations

from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

from tests.e2e.fetch import fetch

_MOST_HOPS = 12
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Browser:
    """Cookies for each origin, for the life of the object."""

    def __init__(self) -> None:
        self._cookies: dict[str, dict[str, str]] = {}

    def visit(self, url: str, *, stop_before: str | None = None) -> str:
        """Goes where the redirects lead and returns the last URL; `stop_before` names one not to go to."""
        for _ in range(_MOST_HOPS):
            if stop_before is not None and url.startswith(stop_before):
                return url
            answer = fetch(url, headers=self._headers(url))
            self._keep(url, answer.headers.get_all("Set-Cookie", []))
            if answer.status not in _REDIRECTS:
                if answer.status != 200:
                    raise AssertionError(f"{answer.status} at {url}: {answer.body[:400]!r}")
                return url
            url = urljoin(url, answer.headers["Location"])
        raise AssertionError(f"more than {_MOST_HOPS} redirects, the last to {url}")

    def _headers(self, url: str) -> dict[str, str]:
        jar = self._cookies.get(urlsplit(url).netloc, {})
        cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
        return {"Accept": "text/html", **({"Cookie": cookie} if cookie else {})}

    def _keep(self, url: str, lines: list[str]) -> None:
        jar = self._cookies.setdefault(urlsplit(url).netloc, {})
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                if morsel.value and not morsel["expires"].startswith("Thu, 01 Jan 1970"):
                    jar[name] = morsel.value
                else:
                    jar.pop(name, None)

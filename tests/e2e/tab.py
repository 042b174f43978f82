"""A tab of the browser, driven as a person would: go somewhere, press keys, look at it (Chrome DevTools Protocol)."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from typing import TYPE_CHECKING, Any, Self

import aiohttp

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_PATIENCE = 30.0
_KEYS = {"Tab": (9, ""), "Enter": (13, "\r")}


class Tab:
    """A tab, while the context is open.

    Args:
        tools_url: The tab's own WebSocket, as the browser names it.
    """

    def __init__(self, tools_url: str) -> None:
        self._url = tools_url
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()
        self.complaints: list[str] = []
        """What the browser says on its console, violations of the content security policy included."""

    async def __aenter__(self) -> Self:
        self._client = aiohttp.ClientSession()
        self._socket = await self._client.ws_connect(self._url, max_msg_size=0)
        self._listening = asyncio.create_task(self._listen())
        for domain in ("Page", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.cancel()
        await asyncio.wait([self._listening])
        await self._socket.close()
        await self._client.close()

    async def call(self, method: str, **parameters: Any) -> Any:
        """One command and its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(_PATIENCE):
            return await answer

    async def goto(self, url: str) -> None:
        """Go there, and wait until the page is there."""
        self._loaded.clear()
        await self.call("Page.navigate", url=url)
        await self.loaded()

    async def loaded(self) -> None:
        """Wait until the page that something has led to is there."""
        async with asyncio.timeout(_PATIENCE):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, a promise's in the end."""
        told = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def press(self, key: str, *, leads_on: bool = False) -> None:
        """Press a key; if it leads to another page, wait until that is there."""
        code, text = _KEYS[key]
        if leads_on:
            self._loaded.clear()
        for kind in ("keyDown", "keyUp"):
            given = {"text": text} if text and kind == "keyDown" else {}
            await self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **given)
        if leads_on:
            await self.loaded()

    async def appear(self, *, width: int, dark: bool) -> None:
        """Have a window of that width, and the user's taste for light or dark."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, file: Path) -> None:
        """A picture of the whole page."""
        told = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(told["data"]))

    async def _listen(self) -> None:
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                answer = self._answers.pop(told["id"])
                if "error" in told:
                    answer.set_exception(AssertionError(told["error"]))
                else:
                    answer.set_result(told["result"])
            elif told["method"] == "Page.loadEventFired":
                self._loaded.set()
            elif told["method"] == "Log.entryAdded":
                self.complaints.append(told["params"]["entry"]["text"])

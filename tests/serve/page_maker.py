"""A real browser on the review page of a running service; places on its picture, in pixels of the image."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from serve_maker import PASSWORD, Running, png, spots

from sever.data import rle

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HEIGHT, WIDTH = 20, 30
FIT = 0.96  # the share of the picture's place that a fitted image fills
LOOK: dict[str, Any] = {"viewport": {"width": 1360, "height": 820}, "locale": "en-GB"}
# A stranger is told so with a 401, which the browser writes into its console.
STRANGER = "status of 401"


def browser_path() -> str:
    found = os.environ.get("SEVER_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed, and SEVER_CHROMIUM is not set")
    return found


@contextmanager
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        yield browser
        browser.close()


def with_profile(browser: Any, folder: Path) -> Any:
    """A browser of its own that keeps what it keeps in this folder."""
    how = {"executable_path": browser_path(), "args": ["--no-sandbox"], **LOOK}
    return browser.browser_type.launch_persistent_context(folder, **how)


def kill_browser(folder: Path) -> None:
    """SIGKILL to each process of the browser that works with this profile, and to no other."""
    for found in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if f"--user-data-dir={folder}".encode() in found.read_bytes():
                os.kill(int(found.parent.name), signal.SIGKILL)


def new_answer(served: Running, seed: int = 0, **query: object) -> str:
    with served.client() as client:
        return str(client.post("/v1/inspect", content=png(spots(seed=seed)), params=query).json()["id"])


def versions(served: Running, uid: str) -> list[dict[str, Any]]:
    with served.client() as client:
        found: list[dict[str, Any]] = client.get(f"/v1/answers/{uid}/corrections").json()
    return found


def masks(version: dict[str, Any]) -> dict[str, np.ndarray]:
    return {each["class"]: rle.decode(each["runs"], HEIGHT, WIDTH) for each in version["masks"]}


class Desk:
    """One person at one browser window."""

    def __init__(self, browser: Any, url: str, name: str = "reviewer", **about: Any) -> None:
        self.context = browser.new_context(**LOOK, **about) if hasattr(browser, "new_context") else browser
        self.url, self.name = url, name
        self.complaints: list[str] = []
        self.tab = self._new_tab()

    def _new_tab(self) -> Any:
        tab = self.context.new_page()
        tab.set_default_timeout(20_000)
        tab.on("console", lambda message: self._hear(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: self._hear(f"error: {error}"))
        return tab

    def _hear(self, text: str) -> None:
        if text.startswith(("error", "warning")) and STRANGER not in text:
            self.complaints.append(text)

    def sign_in(self, answer: str | None = None) -> Desk:
        self.tab.goto(self.url + (f"/#review/{answer}" if answer else ""))
        self.tab.fill("#name", self.name)
        self.tab.fill("#password", PASSWORD)
        self.tab.keyboard.press("Enter")
        self.tab.wait_for_selector("#top nav")
        if answer:
            self.wait_for(answer)
        return self

    def wait_for(self, answer: str) -> None:
        self.until("w => location.hash === '#review/' + w", answer)
        self.tab.wait_for_selector("#classes li")

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the image (in pixels) lies on the page, once the image is fitted."""
        box = self.tab.locator("#picture").bounding_box()
        scale = min(box["width"] / WIDTH, box["height"] / HEIGHT) * FIT
        left, top = (box["width"] - WIDTH * scale) / 2, (box["height"] - HEIGHT * scale) / 2
        return box["x"] + left + x * scale, box["y"] + top + y * scale

    def drag(self, *pixels: tuple[int, int]) -> None:
        """Press on the middle of the first pixel, go over the others, let go on the last."""
        mouse = self.tab.mouse
        mouse.move(*self.place(pixels[0][0] + 0.5, pixels[0][1] + 0.5))
        mouse.down()
        for x, y in pixels[1:]:
            mouse.move(*self.place(x + 0.5, y + 0.5))
        mouse.up()

    def click(self, x: float, y: float) -> None:
        self.tab.mouse.click(*self.place(x, y))

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tab.keyboard.press(key)

    def set_range(self, identity: str, value: int) -> None:
        """As a hand moves a slider: many values on the way, one at the end."""
        move = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change')); }"
        self.tab.locator(f"#{identity}").evaluate(move, value)

    def said(self, words: str) -> None:
        self.until("w => document.body.innerText.includes(w)", words)

    def until(self, condition: str, about: Any = None) -> None:
        """The page's own rules forbid the eval by which playwright would wait."""
        for _ in range(400):
            if self.tab.evaluate(condition, about):
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(
            f"{condition} never held for {about!r}; the page says: {self.tab.inner_text('body')[:2000]}"
        )

    def until_true(self, condition: Callable[[], bool]) -> None:
        """Something outside of the page comes to pass while the page goes on."""
        for _ in range(1200):
            if condition():
                return
            self.tab.wait_for_timeout(50)
        raise AssertionError(f"it never came to pass; the page says: {self.tab.inner_text('body')[:2000]}")

    def sync(self, state: str) -> None:
        self.tab.wait_for_selector(f"#sync[data-state={state}]")

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []


def disc(x: int, y: int, radius: int) -> np.ndarray:
    """The pixels whose centre lies at most `radius` from that of (x, y)."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.uint8)


def get(served: Running, path: str) -> httpx.Response:
    """Byte for byte as it is asked for: no client puts the path in order first."""
    with served.client(None) as client:
        request = client.build_request("GET", "/")
        request.url = httpx.URL(served.url).copy_with(raw_path=path.encode())
        return client.send(request)

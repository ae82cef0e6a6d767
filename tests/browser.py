"""A real browser without a screen, as a person at the keyboard: Chromium, by its own protocol.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket

_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--remote-debugging-port=0", "--remote-allow-origins=*", "--window-size=1400,900"),
)
#: TYKKY_TEST_CHROMIUM may name one that is not along PATH.
CHROMIUM = os.environ.get("TYKKY_TEST_CHROMIUM") or shutil.which("chromium")


@dataclass
class Page:
    """A page of a browser."""

    socket: websocket.WebSocket
    _count: int = field(default=0)

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask for something, and wait for the answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        self.socket.send(json.dumps(message))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self._count:
                assert "error" not in answer, answer["error"]
                found: dict[str, Any] = answer["result"]
                return found

    def go(self, address: str) -> None:
        """Open an address."""
        self.send("Page.navigate", url=address)

    def value(self, script: str) -> Any:
        """What an expression of JavaScript is in the page."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> Any:
        """The value of an expression, once it is one that counts as true."""
        end = time.monotonic() + seconds
        while not (found := self.value(f"(() => {{ try {{ return {script} }} catch {{}} }})()")):
            assert time.monotonic() < end, f"{script}\n{self.value('document.body.innerText')}"
            time.sleep(0.1)
        return found

    def click(self, script: str) -> None:
        """Click with the mouse on the middle of an element, once it is there."""
        box = f"(r => r.width && [r.x + r.width / 2, r.y + r.height / 2])(({script}).{_RECT})"
        x, y = self.wait(box)
        mouse = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.send("Input.dispatchMouseEvent", type="mousePressed", buttons=1, **mouse)
        self.send("Input.dispatchMouseEvent", type="mouseReleased", **mouse)

    def type(self, text: str) -> None:
        """Type a text."""
        self.send("Input.insertText", text=text)

    def shift_enter(self) -> None:
        """Press these two keys."""
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "modifiers": 8}
        self.send("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        self.send("Input.dispatchKeyEvent", type="keyUp", **key)

    def press(self, key: str) -> None:
        """Press a key by its name, such as ``ArrowDown``; or one that is a character."""
        codes = {"Enter": 13, "Escape": 27, "ArrowUp": 38, "ArrowDown": 40, "Tab": 9}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        about = {"key": key, "windowsVirtualKeyCode": codes.get(key, ord(key[0]))}
        typed = {"text": text} if text else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **about, **typed)
        self.send("Input.dispatchKeyEvent", type="keyUp", **about)

    def see(self, *, width: int = 1200, dark: bool = False, scripts: bool = True) -> None:
        """Be a screen of so many pixels, with a system that is dark, or runs no scripts."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)

    def picture(self, path: Path) -> None:
        """Write what is seen, as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


_RECT = "getBoundingClientRect()"


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A page of a browser that has its own, empty profile in ``folder``."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: tools/provision browser")
    folder.mkdir()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}/profile", "about:blank"],
            env={**os.environ, "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        told, end = folder / "profile/DevToolsActivePort", time.monotonic() + 60
        while not (told.exists() and told.read_text().count("\n")):
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)
        port = told.read_text().split()[0]
        session = requests.Session()
        session.trust_env = False  # proxies are not for this machine
        pages = session.get(f"http://127.0.0.1:{port}/json", timeout=30).json()
        address = next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"]
        socket = websocket.create_connection(address, timeout=60, http_no_proxy=["127.0.0.1"])
        yield Page(socket)
        socket.close()
    finally:
        process.terminate()
        process.wait(30)

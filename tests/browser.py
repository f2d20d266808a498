"""A headless Chromium, driven over a pipe with its own DevTools protocol: keys, clicks, pictures.

No driver program, no port, and nothing to install but Chromium itself. The protocol is JSON, one
message to each null byte: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = """
--headless --remote-debugging-pipe --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage
--disable-extensions --hide-scrollbars --force-color-profile=srgb --lang=en
""".split()
# Chromium reads commands from descriptor 3 and answers on 4. They are copied out of the way first:
# either may be in use for the other.
START = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(each), fcntl.F_DUPFD, 10) for each in sys.argv[1:3])
os.dup2(read, 3)
os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "ArrowUp": 38, "ArrowDown": 40}
PATIENCE_S = 60.0


class BrowserError(Exception):
    """What the browser could not do, or what went wrong in the page."""


def found() -> str | None:
    """Return the path of a Chromium on this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """A Chromium with one page.

    Attributes:
        trouble: what the page should never do, as it happens: errors, texts on the console,
            violations of its content security policy, dialogs.
        requests: every address that was asked for.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self.trouble: list[str] = []
        self.requests: list[str] = []
        self._numbers = itertools.count(1)
        self._read = b""
        self._loaded = False
        self._session: str | None = None
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # /bin/sh wraps Chromium in some distributions, and looks at HOME.
        self._process = subprocess.Popen(
            [
                sys.executable, "-c", START, str(commands), str(answers),
                program, *FLAGS, f"--user-data-dir={folder}", "about:blank",
            ],
            pass_fds=(commands, answers),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(folder)},
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        target = self._page()
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        os.close(self._commands)  # on which Chromium ends
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)

    def _page(self) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for target in self.send("Target.getTargets")["targetInfos"]:
                if target["type"] == "page":
                    return str(target["targetId"])
            time.sleep(0.02)
        raise BrowserError("the browser opened no page")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer; what happens meanwhile is taken down.

        Raises:
            BrowserError: the command failed, or the browser has gone or hangs.
        """
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                break
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], PATIENCE_S)
            more = os.read(self._answers, 1 << 20) if ready else b""
            if not more:
                raise BrowserError("the browser hangs" if not ready else "the browser has gone")
            self._read += more
        line, self._read = self._read.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        self._take_down(message.get("method", ""), message.get("params", {}))
        return message

    def _take_down(self, event: str, told: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.trouble.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Runtime.consoleAPICalled":
            self.trouble.append(f"console: {told['args']}")
        elif event == "Log.entryAdded":
            self.trouble.append(told["entry"]["text"])
        elif event == "Page.javascriptDialogOpening":
            self.trouble.append(f"dialog: {told['message']}")

    def open(self, path: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self._loaded = False
        self.send("Page.navigate", url=path.as_uri())
        while not self._loaded:
            self._next()

    def see(self, *, width: int = 1280, height: int = 800, **media: str) -> None:
        """Set the size of the window, and media features: `scheme="dark"`, `motion="reduce"`."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        features = {"scheme": "prefers-color-scheme", "motion": "prefers-reduced-motion"}
        told = [{"name": features[name], "value": value} for name, value in media.items()]
        self.send("Emulation.setEmulatedMedia", media="screen", features=told)

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page; a promise is waited for."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """Click with the mouse in the middle of an element, which has to be visible there."""
        place = self.run(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{ behavior: "instant", block: "center" }});
              const box = element.getBoundingClientRect();
              const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
              const hit = document.elementFromPoint(x, y);
              return element === hit || element.contains(hit) ? {{ x, y }} : null;
            }})()"""
        )
        if place is None:
            raise BrowserError(f"{selector}: is hidden, or something lies above it")
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def press(self, key: str, times: int = 1) -> None:
        """Press a key on whatever has the focus."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        named = {"key": key, "code": "Space" if key == " " else key}
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.send(
                    "Input.dispatchKeyEvent", type=kind, windowsVirtualKeyCode=KEYS[key],
                    **named, **({"text": text} if text and kind == "keyDown" else {}),
                )  # fmt: skip

    def write(self, text: str) -> None:
        """Write text into whatever has the focus."""
        self.send("Input.insertText", text=text)

    def picture(self) -> bytes:
        """Return what the window shows, as a PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

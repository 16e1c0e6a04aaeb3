"""A browser without a window, told what to do over a pipe in the language of its developer tools.

That needs nothing but Chromium itself: no driver, no download, no port.
"""

import base64
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync"),
    *("--remote-debugging-pipe", "--force-color-profile=srgb"),
)


def program() -> str | None:
    """Return where Chromium is, or None."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Page:
    """One page of a Chromium of its own, whose profile lies in a folder.

    `requested` holds the addresses that it asked for, `trouble` what its scripts and its policy complain of.
    """

    def __init__(self, executable: str, profile: Path) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # The browser reads at 3 and writes at 4; a shell puts the pipes there, whatever numbers they have.
        line = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = ["/bin/bash", "-c", line, executable, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        self._number, self._answers = 0, dict[int, Queue[dict[str, Any]]]()
        self.requested: list[str] = []
        self.trouble: list[str] = []
        self._session: str | None = None
        threading.Thread(target=self._listen, daemon=True).start()
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def _listen(self) -> None:
        text = b""
        while chunk := os.read(self._in.fileno(), 1 << 16):
            *whole, text = (text + chunk).split(b"\0")
            for message in map(json.loads, whole):
                self._heard(message)

    def _heard(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message.get("method"):
            case None:
                self._answers.pop(message["id"]).put(message)
            case "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])
            case "Runtime.exceptionThrown":
                detail = told["exceptionDetails"]
                self.trouble.append(detail.get("exception", {}).get("description", detail["text"]))
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.trouble.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")

    def call(self, method: str, seconds: float = 120, **params: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        self._number += 1
        answer: Queue[dict[str, Any]] = Queue()
        self._answers[self._number] = answer
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        try:
            told = answer.get(timeout=seconds)
        except Empty:
            raise TimeoutError(f"{method} had no answer in {seconds} s") from None
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']['message']}")
        return told["result"]

    def open(self, address: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """Return the value of an expression, waiting for it where it is a promise."""
        told = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            detail = told["exceptionDetails"]
            raise RuntimeError(detail.get("exception", {}).get("description", detail["text"]))
        return told["result"].get("value")

    def until(self, condition: str, seconds: float = 120) -> Any:
        """Wait until an expression is true."""
        for _ in range(int(seconds * 10)):
            if value := self.run(condition):
                return value
            threading.Event().wait(0.1)
        raise TimeoutError(f"not within {seconds} s: {condition}; {self.trouble}")

    def click(self, find: str) -> None:
        """Press the middle of the element that an expression finds."""
        x, y = self.place(find, 0.5, 0.5)
        self.drag([(x, y)])

    def place(self, find: str, across: float, down: float) -> tuple[float, float]:
        """Return where in the window a place of an element is, after bringing it into sight."""
        box = self.run(
            f"(() => {{const one = {find}; one.scrollIntoView({{block: 'center', behavior: 'instant'}});"
            "const b = one.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]})()"
        )
        return box[0] + box[2] * across, box[1] + box[3] * down

    def drag(self, way: list[tuple[float, float]]) -> None:
        """Press the mouse at the first place, go along the others, let go."""
        for kind, (x, y) in [
            ("mouseMoved", way[0]),
            ("mousePressed", way[0]),
            *(("mouseMoved", place) for place in way[1:]),
            ("mouseReleased", way[-1]),
        ]:
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def look(self, width: int, height: int, dark: bool = False, touch: bool = False) -> None:
        """Set the window's size and the system's preference."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": touch}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, whole: bool = False) -> bytes:
        """Return what is seen, as PNG; whole: the page to its end."""
        told = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(told["data"])

    def close(self) -> None:
        """End the browser."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()
        self._in.close()

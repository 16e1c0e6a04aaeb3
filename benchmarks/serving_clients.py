"""The service as a process, clients of it, and a look at its health from a process of its own.

    python -m benchmarks.serving_clients http://127.0.0.1:7860

asks for /live, /ready and /metrics in turns until its standard input ends, and prints the seconds of each.
"""

import asyncio
import base64
import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

ROOT: Final = Path(__file__).parent.parent
HEALTH: Final = ("/live", "/ready", "/metrics")
PAUSE: Final = 0.02  # seconds between two looks
PATIENCE: Final = 1800.0  # seconds in which a request must be served, refusals included


class Served:
    """`controlnet serve` on a free port, with these options; a context, at whose end it must leave well."""

    def __init__(self, *options: str) -> None:
        command = [sys.executable, "-m", "controlnet", "serve", "--port", "0", "--threads", "1", *options]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        found = re.search(r"http://\S+", self._process.stdout.readline())
        if found is None:
            raise RuntimeError(f"`{' '.join(command[1:])}` did not begin to serve")
        self.url = found[0]

    def __enter__(self) -> "Served":
        while self._process.poll() is None:
            if httpx.get(f"{self.url}/ready").is_success:
                return self
            time.sleep(0.2)
        raise RuntimeError("the service ended before it was ready")

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        if self._process.wait(120):
            raise RuntimeError(f"the service ended with {self._process.returncode}")
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def processes(self) -> dict[str, int]:
        """The ids of the front and of its worker."""
        front = self._process.pid
        listed = Path(f"/proc/{front}/task").glob("*/children")  # of each of its threads
        children = [int(child) for path in listed for child in path.read_text(encoding="ascii").split()]
        # The largest: beside it there is Python's own small one, which tidies up after all.
        return {"front": front, "worker": max(children, key=resident)}

    def figures(self) -> dict[str, float]:
        """Return what /metrics tells, by name and labels."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


def resident(process: int) -> int:
    """Return the bytes that a process has in memory."""
    return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def processor(process: int) -> float:
    """Return the seconds that a process has computed so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Wish:
    """One picture; by the jobs API, or in the web UI's dialect. hint: of a control, as base64."""

    prompt: str
    seed: int
    steps: int
    side: int
    dialect: bool = False
    hint: str | None = None


@dataclass
class Heard:
    """What clients heard besides their pictures."""

    refused: int = 0
    unpromised: int = 0  # refusals without a Retry-After that can be kept
    lost: list[str] = field(default_factory=list[str])
    served: int = 0


class Client:
    """One client, known to the service by an address of its own (127.0.1.N)."""

    def __init__(self, url: str, number: int, heard: Heard) -> None:
        address = f"127.0.{1 + number // 250}.{1 + number % 250}"
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
        self._http = httpx.AsyncClient(base_url=url, transport=transport, timeout=PATIENCE)
        self._heard = heard

    async def all(self, wishes: Sequence[Wish]) -> list[bytes | None]:
        """Fetch some pictures, one after the other; None for one that was lost."""
        async with self._http:
            return [await self._one(wish) for wish in wishes]

    async def _one(self, wish: Wish) -> bytes | None:
        try:
            async with asyncio.timeout(PATIENCE):
                picture = await (self._by_dialect(wish) if wish.dialect else self._by_jobs(wish))
        except (httpx.HTTPError, TimeoutError, KeyError, ValueError) as error:
            self._heard.lost.append(f"{type(error).__name__}: {error}")
            return None
        self._heard.served += 1
        return picture

    async def _by_jobs(self, wish: Wish) -> bytes:
        asked: dict[str, Any] = {"prompt": wish.prompt, "seed": wish.seed, "steps": wish.steps}
        asked |= {"width": wish.side, "height": wish.side}
        if wish.hint is not None:
            asked["controls"] = [{"controlnet": "canny", "annotate": "canny", "image": wish.hint}]
        job = (await self._admitted("/v1/jobs", asked)).json()
        async with self._http.stream("GET", f"/v1/jobs/{job['id']}/events") as events:
            events.raise_for_status()
            async for line in events.aiter_lines():
                if line.startswith("data: "):
                    job = json.loads(line.removeprefix("data: "))
        if job["state"] != "done":
            raise ValueError(f"a job {job['state']}: {job['error']}")
        picture = await self._http.get(job["pictures"][0]["url"])
        return picture.raise_for_status().content

    async def _by_dialect(self, wish: Wish) -> bytes:
        asked = {"prompt": wish.prompt, "seed": wish.seed, "steps": wish.steps, "cfg_scale": 7.5}
        asked |= {"width": wish.side, "height": wish.side, "sampler_name": "DPM++ 2M"}
        answer = await self._admitted("/sdapi/v1/txt2img", asked)
        return base64.b64decode(answer.json()["images"][0])

    async def _admitted(self, path: str, asked: dict[str, Any]) -> httpx.Response:
        """Ask until there is room, coming again when it was said that there might be."""
        while (answer := await self._http.post(path, json=asked)).status_code == 429:
            self._heard.refused += 1
            wait = answer.headers.get("retry-after", "")
            if not wait.isdecimal() or not 1 <= int(wait) <= 120:
                self._heard.unpromised += 1
                wait = "1"
            await asyncio.sleep(int(wait))
        return answer.raise_for_status()


def crowd(url: str, wishes: Sequence[Sequence[Wish]], heard: Heard) -> list[list[bytes | None]]:
    """Let as many clients as there are lists come at once; return the pictures of each."""

    async def come() -> list[list[bytes | None]]:
        clients = [Client(url, number, heard) for number in range(len(wishes))]
        return await asyncio.gather(*(c.all(own) for c, own in zip(clients, wishes, strict=True)))

    return asyncio.run(come())


class Looks:
    """A context in which another process asks for the health of a service; `seconds` has what it found."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seconds: dict[str, list[float]] = {path: [] for path in HEALTH}

    def __enter__(self) -> "Looks":
        command = [sys.executable, "-m", "benchmarks.serving_clients", self._url]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        told, _none = self._process.communicate()
        self.seconds = json.loads(told)


def look(url: str) -> dict[str, list[float]]:
    """Ask in turns until the standard input ends."""
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=PATIENCE)
    taken: dict[str, list[float]] = {path: [] for path in HEALTH}
    while not done.is_set():
        for path in HEALTH:
            began = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status}")
            taken[path].append(time.perf_counter() - began)
            done.wait(PAUSE)
    return taken


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1])))

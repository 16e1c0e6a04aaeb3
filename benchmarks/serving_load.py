"""The service under a crowd: 200 clients at once, each of whom wants its own picture and none other.

Two services of the embedded base run beside each other, one that makes every picture by itself and one with
`--batch 8`; the same crowd comes to both in turns. Each picture is compared with the one that the same
request gave alone, before. Then the crowd wants as many pictures as a worker with a core to itself makes of
full size in an hour, by the processor time of such, but small ones of one step, so that it takes minutes.

Expected: by contract nothing is lost, crossed or refused without a promise, and memory is flat. A group of
eight small pictures was predicted to take 1.2 to 3 times less processor time than eight by themselves, since
at that size what surrounds the kernels counts; a look at the service's health, at most 0.1 s half of the time
and 1 s in 99 of 100 cases, on two cores that the crowd, the front and the workers share.
"""

import base64
import io
import statistics
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.frame import Figure, Report, median, ratio
from benchmarks.serving_clients import HEALTH, Heard, Looks, Served, Wish, crowd, processor, resident

CLIENTS: Final = 200
BATCH: Final = 8
STEPS, SIDE = 2, 64
FULL: Final = Wish("a red cube on a sand floor", 0, 20, 128)
FULL_COUNT: Final = 6
WARM: Final = 0.2  # of the hour's requests: by then the store of finished jobs is full
MIB: Final = 2**20
FLAT: Final = 16.0  # MiB, as for the pictures of one process in sampling_memory
NOUNS, COLOURS = ("cube", "ball", "cone"), ("red", "green", "blue", "yellow")


@dataclass
class Turn:
    """One crowd at one service: seconds, processor time of worker and front, differences of pictures."""

    seconds: float
    worker: float
    front: float
    crossed: int
    most: int
    looks: dict[str, list[float]]


@dataclass
class Watched:
    """Memory of front and worker, in bytes, by the number of requests served by then."""

    served: list[int] = field(default_factory=list[int])
    held: dict[str, list[int]] = field(default_factory=lambda: {"front": [], "worker": []})

    def later(self, name: str) -> tuple[list[int], list[float]]:
        """Return what was seen after the warm-up: requests, and MiB."""
        least = WARM * self.served[-1]
        pairs = [(n, b / MIB) for n, b in zip(self.served, self.held[name], strict=True) if n >= least]
        return [n for n, _ in pairs], [b for _, b in pairs]


def wishes(clients: int) -> list[Wish]:
    """Return one wish for each client: every fifth in the dialect, every tenth with a control of its own."""
    return [
        Wish(
            f"a {COLOURS[k % 4]} {NOUNS[k % 3]} number {k}",
            1000 + k,
            STEPS,
            SIDE,
            dialect=k % 5 == 0,
            hint=_scene(k) if k % 10 == 1 else None,
        )
        for k in range(clients)
    ]


def measure(repeats: int = 2, clients: int = CLIENTS, hour: int | None = None) -> Report:
    """Let the crowd come `repeats` times to each service; hour: of requests, None by the measured rate."""
    wanted, heard = wishes(clients), Heard()
    with Served() as one, Served("--batch", str(BATCH)) as eight:
        services = {"one": one, "eight": eight}
        (alone,) = crowd(one.url, [wanted], heard)
        crowd(eight.url, [wanted[: 2 * BATCH]], heard)  # so that both are warm
        wanted_pixels = [_pixels(picture) for picture in alone]
        rate = _full_rate(one)
        turns: dict[str, list[Turn]] = {name: [] for name in services}
        for _ in range(repeats):
            for name, service in services.items():
                turns[name].append(_turn(service, wanted, wanted_pixels, heard))
        count = hour or round(3600 * rate)
        watched, took = _hour(one, clients, count, heard)
        left = [_left(service) for service in services.values()]
        groups = eight.figures()
    distinct = len({pixels.tobytes() for pixels in wanted_pixels if pixels is not None})
    company = groups["controlnet_grouped_jobs_total"] / groups["controlnet_groups_total"]
    return Report(
        "serving_load",
        f"Do {clients} clients at once each get their own picture, and does the service stay as it was?",
        [
            *_kept(heard, turns, distinct, clients, sum(left)),
            *_speed(turns, clients, company),
            *_health(turns["one"]),
            *_memory(watched, rate, count, took),
        ],
    )


def _turn(service: Served, wanted: Sequence[Wish], alone: Sequence[np.ndarray | None], heard: Heard) -> Turn:
    ids = service.processes
    before = {name: processor(process) for name, process in ids.items()}
    began = perf_counter()
    with Looks(service.url) as looks:
        made = crowd(service.url, [[wish] for wish in wanted], heard)
        seconds = perf_counter() - began
    spent = {name: processor(process) - before[name] for name, process in ids.items()}
    crossed, most = compared([_pixels(own[0]) for own in made], alone)
    return Turn(seconds, spent["worker"], spent["front"], crossed, most, looks.seconds)


def compared(made: Sequence[np.ndarray | None], alone: Sequence[np.ndarray | None]) -> tuple[int, int]:
    """Return how many pictures are nearer to another's than to their own, and the largest difference."""
    known = np.stack([own for own in alone if own is not None]).astype(np.int16)
    crossed = most = 0
    for number, picture in enumerate(made):
        if picture is None:
            continue
        away = np.abs(known - picture)
        crossed += int(away.mean(axis=(1, 2, 3)).argmin()) != number
        most = max(most, int(away[number].max()))
    return crossed, most


def _full_rate(service: Served) -> float:
    """Return the full-size pictures a second of one worker on a core of its own: by its processor time."""
    hinted = Wish(FULL.prompt, FULL.seed, FULL.steps, FULL.side, hint=_scene(0))
    crowd(service.url, [[hinted]], Heard())  # loads the ControlNet
    worker = service.processes["worker"]
    began = processor(worker)
    crowd(service.url, [[hinted] * FULL_COUNT], Heard())
    return FULL_COUNT / (processor(worker) - began)


def _hour(service: Served, clients: int, count: int, heard: Heard) -> tuple[Watched, float]:
    watched, done = Watched(), threading.Event()
    ids, before = service.processes, heard.served

    def watch() -> None:
        while not done.wait(0.5):
            watched.served.append(heard.served - before)
            for name, process in ids.items():
                watched.held[name].append(resident(process))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = perf_counter()
    each = range(-(-count // clients))
    small = [[Wish("a cube", 10_000 * k + n, 1, SIDE, k % 5 == 0) for n in each] for k in range(clients)]
    try:
        crowd(service.url, small, heard)
    finally:
        done.set()
        watcher.join()
    return watched, perf_counter() - began


def _left(service: Served) -> int:
    """Return how many jobs are in the service still, or did not end as they should."""
    found = service.figures()
    names = ("waiting", "running", 'total{outcome="failed"}', 'total{outcome="cancelled"}')
    return round(sum(found[f"controlnet_jobs_{name}"] for name in names))


def _kept(heard: Heard, turns: dict[str, list[Turn]], distinct: int, clients: int, left: int) -> list[Figure]:
    def none(what: str, value: float) -> Figure:
        return Figure(what, value, "", (0, 0), "contract")

    every = [turn for own in turns.values() for turn in own]
    most = {name: max(turn.most for turn in own) for name, own in turns.items()}
    return [
        Figure("requests served", heard.served, ""),
        none("lost", len(heard.lost)),
        none("failed, cancelled or left over in the services", left),
        Figure("different pictures among those made alone", distinct, "", (clients, clients), "as asked"),
        none("crossed: nearer to another client's picture", sum(turn.crossed for turn in every)),
        none("largest difference from the picture alone, of 255", most["one"]),
        Figure(f"the same with --batch {BATCH}", most["eight"], "", (None, 1), "docs/serving.md"),
        Figure("refused with 429, and served later", heard.refused, "", (1, None), "a queue of 64"),
        none("refused without a Retry-After of 1 to 120 s", heard.unpromised),
    ]


def _speed(turns: dict[str, list[Turn]], clients: int, company: float) -> list[Figure]:
    one, eight = turns["one"], turns["eight"]
    work = ratio([t.worker for t in one], [t.worker for t in eight])
    clock = ratio([t.seconds for t in one], [t.seconds for t in eight])
    front, worker = (median(getattr(t, who) for t in one) / clients for who in ("front", "worker"))
    return [
        Figure("requests a second, one by one", clients / median(t.seconds for t in one), "1/s"),
        Figure(f"requests a second, --batch {BATCH}", clients / median(t.seconds for t in eight), "1/s"),
        Figure(f"--batch {BATCH} / one by one, requests a second", clock, "×", (1.0, 3.0), "prediction"),
        Figure("the same by the worker's processor time", work, "×", (1.2, 3.0), "prediction"),
        Figure("jobs in a group, on average", company, ""),
        Figure("processor time of the worker for a picture, one by one", worker, "s"),
        Figure("processor time of the front for a request", front, "s", (None, 0.1), "prediction"),
    ]


def _health(turns: Sequence[Turn]) -> list[Figure]:
    found: list[Figure] = []
    for path in HEALTH:
        taken = [seconds for turn in turns for seconds in turn.looks[path]]
        cuts = statistics.quantiles(taken, n=100)
        found += [
            Figure(f"{path} under the crowd, p50", 1000 * cuts[49], "ms", (None, 100), "prediction"),
            Figure(f"{path} under the crowd, p99", 1000 * cuts[98], "ms", (None, 1000), "prediction"),
        ]
    return found


def _memory(watched: Watched, rate: float, count: int, took: float) -> list[Figure]:
    full = f"full-size pictures an hour ({FULL.side}², {FULL.steps} steps, one control)"
    found = [
        Figure(full, 3600 * rate, ""),
        Figure("small requests in their place", count, ""),
        Figure("and the time they took", took, "s"),
    ]
    for name in watched.held:
        served, held = watched.later(name)
        slope = 1000 * statistics.linear_regression(served, held).slope
        found += [
            Figure(f"{name}: resident at the start", watched.held[name][0] / MIB, "MiB"),
            Figure(f"{name}: after a fifth", held[0], "MiB"),
            Figure(f"{name}: in the middle", held[len(held) // 2], "MiB"),
            Figure(f"{name}: at the end", held[-1], "MiB"),
            Figure(f"{name}: growth after a fifth", held[-1] - held[0], "MiB", (None, FLAT), "prediction"),
            Figure(f"{name}: slope by least squares, of 1000 requests", slope, "MiB"),
        ]
    return found


def _pixels(picture: bytes | None) -> np.ndarray | None:
    return None if picture is None else np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))


def _scene(number: int) -> str:
    from controlnet.shapes import render

    out = io.BytesIO()
    Image.fromarray(np.asarray(render(seed=2, index=number).image)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()

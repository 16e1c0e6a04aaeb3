"""A worker: where networks run. It hears of groups of jobs and tells of each what comes of it.

Only the standard library is imported at first, so that the engine can name `main` without loading networks.
"""

import logging
import os
import signal
from collections import deque
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from controlnet.service.catalog import Catalog
    from controlnet.service.limits import Limits
    from controlnet.service.link import Line
    from controlnet.service.models import Models
    from controlnet.service.requests import Annotate, Generate, Request
    from controlnet.service.settings import Settings

log = logging.getLogger(__name__)

HUNG_UP: Final = (EOFError, BrokenPipeError, ConnectionResetError)


def main(pipe: Connection, catalog: "Catalog", settings: "Settings", limits: "Limits", device: str) -> None:
    """Be a worker in a process of its own, until the engine hangs up."""
    # Signals from the terminal and from a supervisor reach the whole family; when to go the engine says.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(name)s: %(message)s")
    logging.getLogger("controlnet").setLevel(logging.ERROR)  # what has no effect is no news on a server
    try:
        attend(pipe, partial(set_up, catalog, settings, device), settings, limits)
    except HUNG_UP:
        os._exit(0)


def attend(line: "Line", models_of: Callable[[], "Models"], settings: "Settings", limits: "Limits") -> None:
    """Load the first base, then do groups of jobs; raises one of HUNG_UP when the engine hangs up."""
    try:
        models = models_of()
        line.send(("ready", models.usage(), models.known))
        desk = Desk(line, models, settings.batch, limits.pixels)
        while True:
            message = line.recv()
            if message[0] == "group":
                desk.work(message[1])
            # orders that came too late are for jobs that are over
    except HUNG_UP:
        raise
    except Exception as error:
        log.exception("the worker cannot go on")
        line.send(("broken", f"{type(error).__name__}: {error}"))


def set_up(catalog: "Catalog", settings: "Settings", device: str) -> "Models":
    """Return the models of a worker, the first base loaded."""
    import torch

    from controlnet.service.models import Models

    limit_threads(settings)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    models = Models(catalog, torch.device(device), settings.memory, settings.half)
    models.base(catalog.bases[0].name)
    return models


def limit_threads(settings: "Settings") -> None:
    """Let the networks of the thread that calls use no more threads than they may."""
    import torch

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)


class Desk:
    """Does groups of jobs, one group at a time, and hears meanwhile which of them shall end."""

    def __init__(self, line: "Line", models: "Models", batch: int, pixels: int) -> None:
        self._line, self._models, self._batch, self._pixels = line, models, batch, pixels
        self._orders: dict[str, deque[str]] = {}

    def work(self, group: list[tuple[str, "Request"]]) -> None:
        """Do the jobs, tell what comes of each, and at last that the worker is idle."""
        from controlnet.service.requests import Annotate

        self._line.send(("taken",))
        self._models.begin()
        self._orders = {id: deque() for id, _ in group}
        for id, request in group:
            if isinstance(request, Annotate):
                self._guarded([id], self._annotate, id, request)
        self._generate([(id, request) for id, request in group if not isinstance(request, Annotate)])
        self._line.send(("idle", self._models.usage(), self._models.known))

    def tell(self, what: str, job: str, *rest: Any) -> None:
        """Tell the engine about a job."""
        self._line.send((what, job, *rest))

    def wanted(self, job: str) -> str:
        """Say what is wanted of a job by now: "go", "drop", "keep" or, once, "skip"."""
        while self._line.poll():
            order, id = self._line.recv()
            if id in self._orders:
                self._orders[id].append(order)
        orders = self._orders[job]
        for lasting in ("drop", "keep"):
            if lasting in orders:
                return lasting
        return orders.popleft() if orders else "go"

    def _generate(self, group: list[tuple[str, "Generate"]]) -> None:
        from controlnet.service.making import Part, make
        from controlnet.service.preparing import prepare
        from controlnet.service.recording import record_of

        parts: list[Part] = []

        def ready(id: str, request: "Generate") -> None:
            made = prepare(self._models, request, self._pixels)
            record = record_of(self._models.base(request.base), made, request.seed)
            parts.append(Part(id, made, record))

        for id, request in group:
            self._guarded([id], ready, id, request)
        if parts:
            base = parts[0].ready.base  # one for all: jobs of a group have the same ControlNets
            self._guarded([part.id for part in parts], make, base, parts, self._batch, self)

    def _annotate(self, id: str, request: "Annotate") -> None:
        from controlnet.service.annotating import annotated

        maps, poses = [], []
        for number, image in enumerate(request.images):
            if self.wanted(id) in ("drop", "keep"):
                self.tell("cancelled", id, {"interrupted": True})
                return
            made, pose = annotated(request, image)
            maps.append(made)
            poses += [] if pose is None else [pose]
            self.tell("step", id, number + 1, len(request.images))
        self.tell("done", id, {"maps": maps, "poses": poses})

    def _guarded(self, ids: list[str], work: Any, *arguments: Any) -> None:
        """Do some work for jobs; an error fails them with a message that a client may read."""
        from controlnet.service.failures import told

        try:
            work(*arguments)
        except HUNG_UP:
            raise
        except Exception as error:
            kind, message, mistaken, memory = told(error)
            if memory:
                self._models.release()
            for id in ids:
                self.tell("failed", id, kind, message, mistaken)

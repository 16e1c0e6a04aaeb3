"""Workers that are processes of this machine, each at the other end of a pipe."""

import multiprocessing
import signal

from controlnet.service.catalog import Catalog
from controlnet.service.limits import Limits
from controlnet.service.link import Message
from controlnet.service.settings import Settings
from controlnet.service.worker import main


class Processes:
    """One worker for each device."""

    def __init__(self, catalog: Catalog, settings: Settings, limits: Limits) -> None:
        self._given = catalog, settings, limits
        self.names = settings.devices

    def start(self, name: str) -> "Process":
        """Start the process of a device."""
        return Process(*self._given, name)

    def stop(self) -> None:
        """Do nothing: each ends with its link."""


class Process:
    """The link to one of them."""

    def __init__(self, catalog: Catalog, settings: Settings, limits: Limits, device: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, catalog, settings, limits, device)
        self.process = context.Process(target=main, args=arguments, daemon=True, name="controlnet worker")
        self.process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.is_alive()

    def send(self, message: Message) -> None:
        """Tell the worker; OSError or ValueError where it is gone."""
        self._pipe.send(message)

    def receive(self, seconds: float) -> Message | None:
        """Return its next message; None where none came in time, or none will ever come."""
        try:
            if self._pipe.poll(seconds):
                return self._pipe.recv()
        except (EOFError, OSError):
            self.process.join(timeout=seconds)
        return None

    def how(self) -> str:
        """Tell the signal or the exit status that ended it."""
        self.process.join(timeout=1)
        code = self.process.exitcode
        if code is not None and code < 0:
            return f"signal {signal.Signals(-code).name}"
        return f"exit status {code}"

    def cut(self) -> None:
        """Kill it."""
        self._pipe.close()
        self.process.kill()
        self.process.join(timeout=10)

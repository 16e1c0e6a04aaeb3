"""What the dialect remembers of its clients: which base each has chosen, and which job is its own now."""

from collections import OrderedDict
from typing import Final

from fastapi import Request

from controlnet.service import Engine, Job, Model

CLIENTS: Final = 1000  # whose choice is remembered


def client_of(request: Request) -> str:
    """Return who calls: the address that connects."""
    return request.client.host if request.client else ""


class Desk:
    """The engine with each client's choices; a client's options are nobody else's."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._chosen: OrderedDict[str, str] = OrderedDict()

    def base(self, client: str) -> Model:
        """Return the base that a client has chosen, or the first one."""
        name = self._chosen.get(client)
        return self.engine.catalog.base(name) if name else self.engine.catalog.bases[0]

    def choose(self, client: str, base: Model) -> None:
        """Remember a client's base."""
        self._chosen[client] = base.name
        self._chosen.move_to_end(client)
        while len(self._chosen) > CLIENTS:
            self._chosen.popitem(last=False)

    def current(self, client: str) -> tuple[Job | None, int]:
        """Return a client's job in work, or else its first that waits, and how many it has in all."""
        running, waiting = self.engine.jobs_of(client)
        jobs = [*running, *waiting]
        return (jobs[0] if jobs else None), len(jobs)

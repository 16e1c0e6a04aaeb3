"""The server's loop: uvicorn, with an end that waits for the jobs in hand."""

import logging
import socket
import threading
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from controlnet.service import Engine

log = logging.getLogger(__name__)

LINGER: Final = 3.0  # seconds for clients to fetch what was made last
CONNECTIONS: Final = 1000


class Server(uvicorn.Server):
    """Serves until SIGTERM or Ctrl-C; then takes no more jobs, finishes those that are there, and leaves.

    A second signal leaves at once. drain: seconds at most for the jobs in hand.
    """

    def __init__(self, app: FastAPI, engine: Engine, drain: float) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=2,
            proxy_headers=False,  # who calls is who connects, whatever a header says
            ws="none",
            # Not what else may be installed, as it is beside Ray Serve: the same service everywhere.
            loop="asyncio",
            http="h11",
            lifespan="on",
        )
        super().__init__(config)
        self._engine, self._drain, self._asked = engine, drain, False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain, or leave at once where that has begun."""
        if self._asked:
            super().handle_exit(sig, frame)
            return
        self._asked = True
        threading.Thread(target=self._leave, name="controlnet drain", daemon=True).start()

    def _leave(self) -> None:
        running, waiting = self._engine.counts()
        log.info("stopping: %d jobs run, %d wait (again to stop at once)", running, waiting)
        if not self._engine.drain(self._drain):
            log.warning("jobs were left after %g seconds; they fail", self._drain)
        elif running or waiting:
            threading.Event().wait(LINGER)
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """Open the socket, so that an address that is taken is told before models are loaded; OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named: only then does asyncio send small answers without waiting (TCP_NODELAY), which
    # costs 40 ms for each where the other end is slow to acknowledge.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(2048)  # who connects from now on waits, and is not refused
    except OSError:
        opened.close()
        raise
    return opened

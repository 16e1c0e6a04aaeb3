"""How much one request, one client and all of them may ask for; checked before anything is queued."""

from dataclasses import dataclass
from typing import Final

MEBI: Final = 2**20


@dataclass(frozen=True)
class Limits:
    """Bounds on work and memory; those of a request are refused with its field's name, the rest with "later".

    body: bytes of a request. picture_pixels: of a picture that is sent; pixels: of one that is made, whose
    side is bounded too by the base. prompt: characters of each text. queue: jobs that wait; per_client: jobs
    of one client that wait or run; waiting_bytes: pictures of waiting and running jobs together. deadline:
    seconds from its arrival after which a job is given up; grace: seconds that a worker has to obey before
    it is replaced. kept, kept_bytes, kept_seconds: finished jobs that may still be asked for.
    """

    body: int = 32 * MEBI
    picture_pixels: int = 4096 * 4096
    pixels: int = 2048 * 2048
    steps: int = 150
    pictures: int = 16
    controls: int = 8
    prompt: int = 10_000
    queue: int = 64
    per_client: int = 16
    waiting_bytes: int = 512 * MEBI
    deadline: float = 900.0
    grace: float = 60.0
    kept: int = 200
    kept_bytes: int = 256 * MEBI
    kept_seconds: float = 900.0

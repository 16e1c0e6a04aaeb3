"""How the engine works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How the engine works: one worker for each device ("auto" is the GPU if there is one).

    batch: pictures of one kind that go through the networks together when they wait: 1 makes each picture the
    same to the bit whatever else is made; more is faster on a GPU, at the price of rounding (about 1e-6).
    memory: bytes of models that a worker keeps, None for a share of the device's; threads: of a worker on a
    CPU, None as torch chooses.
    """

    devices: tuple[str, ...] = ("auto",)
    batch: int = 1
    memory: int | None = None
    threads: int | None = None
    half: bool = False

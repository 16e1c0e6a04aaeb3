"""Several processes that share the work: which one this is, and how it waits for the others.

torchrun and accelerate tell by the environment. Pictures are files in one folder, so the processes need to
exchange nothing; they only have to wait for one another before the pictures are measured.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from controlnet.errors import SettingError

LONGEST: Final = timedelta(days=2)  # between the first process to be ready and the last


@dataclass(frozen=True)
class Ranks:
    """This process's number among `count`; its number on its own machine, which chooses the device."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @classmethod
    def here(cls) -> Self:
        """Read RANK, WORLD_SIZE and LOCAL_RANK; SettingError where they cannot be meant."""
        try:
            rank, count, local = (int(os.environ.get(key, default)) for key, default in _KEYS)
        except ValueError as error:
            raise SettingError(
                f"RANK, WORLD_SIZE and LOCAL_RANK are to be whole numbers ({error})"
            ) from error
        if not 0 <= rank < count:
            raise SettingError(f"got RANK={rank} of WORLD_SIZE={count}; wanted 0 … {count - 1}")
        return cls(rank, count, local)

    @property
    def first(self) -> bool:
        """Whether this process does what only one may do."""
        return self.rank == 0

    def mine(self, number: int) -> bool:
        """Say whether a piece of work is this process's."""
        return number % self.count == self.rank

    def wait(self) -> None:
        """Wait until all processes are here; a single one goes on."""
        if self.count == 1:
            return
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=LONGEST)
        dist.barrier()

    def end(self) -> None:
        """Take leave of the others."""
        if self.count > 1:
            import torch.distributed as dist

            with suppress(RuntimeError, ValueError):
                dist.destroy_process_group()


_KEYS: Final = (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))

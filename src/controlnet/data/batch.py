"""What training takes: one example as tensors, a batch of them, and the protocol of a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from controlnet.errors import DataError


class Sample(NamedTuple):
    """One example, ready: pixels in [-1, 1], condition in [0, 1], caption, and maybe a mask in [0, 1]."""

    pixels: Float[Tensor, "3 H W"]
    condition: Float[Tensor, "3 H W"]
    caption: str
    mask: Float[Tensor, "1 H W"] | None = None


@runtime_checkable
class Dataset(Protocol):
    """Any source of examples. `example` may raise BadExample; the loader then takes the next one."""

    def __len__(self) -> int:
        """Count the examples."""
        ...

    def example(self, index: int, rng: np.random.Generator) -> Sample:
        """Give example `index`, drawing crop and flip from `rng` alone; called from several threads."""
        ...


@dataclass(frozen=True)
class Batch:
    """B examples: pixels in [-1, 1], condition in [0, 1], B captions, and B indices into the data set.

    mask in [0, 1]: where the loss counts; None where no example has one, and 1 where some have none.
    """

    pixels: Float[Tensor, "B 3 H W"]
    condition: Float[Tensor, "B 3 H W"]
    captions: list[str]
    indices: list[int]
    mask: Float[Tensor, "B 1 H W"] | None = None

    @classmethod
    def of(cls, samples: Sequence[Sample], indices: Sequence[int]) -> "Batch":
        """Stack samples of one size; raises DataError for several sizes."""
        sizes = sorted({tuple(s.pixels.shape[1:]) for s in samples})
        if len(sizes) > 1:
            raise DataError(
                f"got pictures of sizes {sizes} (H, W) in one batch, wanted one; set the data's size"
            )
        masks: list[NDArray[np.float32]] | None = None
        if any(s.mask is not None for s in samples):
            full = np.ones((1, *sizes[0]), np.float32)
            masks = [full if s.mask is None else s.mask.numpy() for s in samples]
        return cls(
            # by numpy, for the same reason as in transforms
            pixels=torch.from_numpy(np.stack([s.pixels.numpy() for s in samples])),
            condition=torch.from_numpy(np.stack([s.condition.numpy() for s in samples])),
            captions=[s.caption for s in samples],
            indices=list(indices),
            mask=None if masks is None else torch.from_numpy(np.stack(masks)),
        )

    def __len__(self) -> int:
        """Count the examples, B."""
        return len(self.captions)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures, in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Batch":
        """Move the tensors."""
        pixels, condition = (part.to(device=device, dtype=dtype) for part in (self.pixels, self.condition))
        mask = None if self.mask is None else self.mask.to(device=device, dtype=dtype)
        return Batch(pixels, condition, self.captions, self.indices, mask)

"""One geometric transform for picture and control map alike: resize, crop, flip."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from controlnet.data.buckets import Buckets
from controlnet.data.pictures import Pixels
from controlnet.errors import SettingError

Size: TypeAlias = int | tuple[int, int] | Buckets | None
"""The side or (H, W) in pixels, the bucket that suits each picture best, or (None) each picture's own."""


@dataclass(frozen=True)
class Placement:
    """A drawn transform: cut `box` (left, upper, right, lower; px), bring it to `size` (H, W), mirror."""

    box: tuple[float, float, float, float]
    size: tuple[int, int]
    flip: bool = False

    def __call__(self, array: Pixels, nearest: bool = False) -> Pixels:
        """Apply to uint8 (H, W, 3): area mean down, Lanczos up, or the nearest pixel for maps of labels.

        Where nothing is scaled the pixels are copied, bit for bit.
        """
        left, upper, right, lower = self.box
        height, width = self.size
        if (lower - upper, right - left) == self.size:
            out = array[int(upper) : int(lower), int(left) : int(right)]
        else:
            smooth = Image.Resampling.BOX if right - left > width else Image.Resampling.LANCZOS
            kind = Image.Resampling.NEAREST if nearest else smooth
            out = np.asarray(Image.fromarray(array).resize((width, height), kind, box=self.box))
        return np.array(out[:, ::-1] if self.flip else out, order="C")


@dataclass(frozen=True)
class Transform:
    """How examples come to one size.

    size: side or (H, W) in pixels, or buckets, None leaves each picture as it is; the picture is scaled until
    it covers the size, and what sticks out is cut off, in the "center" or at "random". flip mirrors half of
    the examples; leave it off where captions say left and right, and for maps that mean it: normals, poses.
    Raises SettingError.
    """

    size: Size = None
    crop: Literal["center", "random"] = "center"
    flip: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes below a pixel and crops that do not exist."""
        if self.size is not None and min(self._sides(1, 1)) < 1:
            raise SettingError(f"got size {self.size}, wanted at least one pixel, such as 512 or (512, 768)")
        if self.crop not in ("center", "random"):
            raise SettingError(f'got crop "{self.crop}", wanted "center" or "random"')

    def place(self, height: int, width: int, rng: np.random.Generator) -> Placement:
        """Draw the transform of one picture of height × width pixels from `rng`."""
        tall, wide = self._sides(height, width)
        scale = max(tall / height, wide / width)
        cut = min(float(height), tall / scale), min(float(width), wide / scale)
        room = [int(side - part) for side, part in zip((height, width), cut, strict=True)]
        upper, left = (
            rng.integers(0, room, endpoint=True).tolist() if self.crop == "random" else [r // 2 for r in room]
        )
        flip = self.flip and bool(rng.integers(2))
        return Placement((float(left), float(upper), left + cut[1], upper + cut[0]), (tall, wide), flip)

    def _sides(self, height: int, width: int) -> tuple[int, int]:
        if self.size is None:
            return height, width
        if isinstance(self.size, Buckets):
            return self.size.nearest(height, width)
        return (self.size, self.size) if isinstance(self.size, int) else self.size


def to_pixels(array: Pixels) -> Float[Tensor, "3 H W"]:
    """Bring a uint8 picture (H, W, 3) to [-1, 1], the range of the autoencoder."""
    return torch.from_numpy(_planes(array) * np.float32(2) - np.float32(1))


def to_condition(array: Pixels) -> Float[Tensor, "3 H W"]:
    """Bring a uint8 control map (H, W, 3) to [0, 1], the range of the hint encoder."""
    return torch.from_numpy(_planes(array))


def to_mask(array: Pixels) -> Float[Tensor, "1 H W"]:
    """Bring a uint8 mask (H, W, 3), grey, to [0, 1]: 1 where the loss counts."""
    return torch.from_numpy(_planes(array)[:1])


def _planes(array: Pixels) -> NDArray[np.float32]:
    # By numpy, since loaders work in threads: for each thread that computes, torch starts as many again as
    # there are cores, and those wait busily. On two cores that made a training step almost twice as long.
    return np.ascontiguousarray(array.transpose(2, 0, 1)).astype(np.float32) / np.float32(255)

"""The picture's colours and stuff without its layout."""

from typing import ClassVar, Literal, final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from controlnet.conditions._base import Family, Resolution
from controlnet.conditions._chance import Chance
from controlnet.conditions._image import Pixels

Floats = NDArray[np.floating]

_LEVELS, _NOISE = 3, 16.0  # halvings, and the noise added at each in steps of 255: "down" of ControlNet 1.1


@final
class Shuffle(Chance):
    """The picture drawn about at random, RGB: its colours and textures remain, its layout is lost.

    Source: ControlNet 1.1, annotator/shuffle, for control_v11e_sd15_shuffle: each pixel of the map is taken
    from where a smooth random flow points, whose grain is 256 pixels at a short side of 512. With the same
    seed the map is that of sd-webui-controlnet after `numpy.random.seed(seed)`. The relatives of ControlNet
    1.1 give other losses of the picture: of its colours ("colours": each becomes another, by place; "grey":
    a random mixture of the channels), or of its details ("down": smaller and larger again, with noise).
    """

    title: ClassVar[str] = "Shuffled picture: colours and textures without the layout"
    family: ClassVar[Family] = "colour and layout"
    paper: ClassVar[str] = "L. Zhang, ControlNet 1.1, control_v11e_sd15_shuffle, 2023"
    licence: ClassVar[str] = "Apache-2.0"

    resolution: Resolution = 512
    kind: Literal["flow", "colours", "grey", "down"] = Field(
        default="flow", description="what is shuffled: the places, the colours, the channels, the details"
    )
    grain: int = Field(
        default=256, ge=8, le=1024, description="distance in pixels of the flow's random points from another"
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the shuffled picture."""
        numbers = self.numbers(image)
        match self.kind:
            case "flow":
                return _flown(image, self.grain, numbers)
            case "colours":
                return _recoloured(image, numbers)
            case "grey":
                return _mixed(image, numbers)
            case "down":
                return _downsampled(image, numbers)


def _clouds(height: int, width: int, channels: int, grain: int, numbers: np.random.RandomState) -> Floats:
    """Return smooth random numbers, (height, width, channels) from 0 to 1, their points `grain` apart."""
    points = numbers.uniform(size=(height // grain + 2, width // grain + 2, channels))
    size = (width + 2 * grain, height + 2 * grain)
    clouds = np.asarray(cv2.resize(points, size, interpolation=cv2.INTER_CUBIC))
    clouds = clouds[grain : grain + height, grain : grain + width].reshape(height, width, channels)
    clouds = clouds - clouds.min()
    return clouds / (clouds.max() or 1.0)


def _flown(image: Pixels, grain: int, numbers: np.random.RandomState) -> Pixels:
    height, width = image.shape[:2]
    x, y = (
        (_clouds(height, width, 1, grain, numbers)[..., 0] * (side - 1)).astype(np.float32)
        for side in (width, height)
    )
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR))


def _recoloured(image: Pixels, numbers: np.random.RandomState) -> Pixels:
    grain = int(numbers.randint(64, 384))
    light, dark = (_clouds(image.shape[0], image.shape[1], 3, grain, numbers) for _ in range(2))
    middle = (light + dark) / 2
    light, dark = ((middle + (end - middle) * 3).clip(0, 1) for end in (light, dark))
    share = image.astype(np.float32) / 255
    found = light * share + dark * (1 - share)
    found -= found.min(axis=(0, 1))
    found /= np.maximum(found.max(axis=(0, 1)), 1e-5)
    return (found * 255).clip(0, 255).astype(np.uint8)


def _mixed(image: Pixels, numbers: np.random.RandomState) -> Pixels:
    shares = numbers.uniform(size=3) + 1e-5
    mixed = image.astype(np.float32) @ (shares / shares.sum()).astype(np.float32)
    return np.repeat(mixed.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _downsampled(image: Pixels, numbers: np.random.RandomState) -> Pixels:
    found = image.astype(np.float32)
    sizes: list[tuple[int, int]] = []
    for _ in range(_LEVELS):
        found += numbers.normal(scale=_NOISE, size=found.shape)
        sizes.append((found.shape[1], found.shape[0]))
        found = np.asarray(cv2.pyrDown(found))
    for size in reversed(sizes):
        found = np.asarray(cv2.pyrUp(found, dstsize=size))
        found += numbers.normal(scale=_NOISE, size=found.shape)
    return found.clip(0, 255).astype(np.uint8)

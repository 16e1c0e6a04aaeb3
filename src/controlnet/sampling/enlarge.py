"""Enlarging, between a first pass and a second: in pixels, or in latents."""

from typing import Any, Final, Literal

import cv2
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from controlnet.conditions._image import Pixels
from controlnet.errors import UnknownName
from controlnet.nearest import unknown
from controlnet.sampling.images import Size

Upscaler = Literal["lanczos", "bicubic", "latent"]

PIXELS: Final[dict[str, int]] = {"lanczos": cv2.INTER_LANCZOS4, "bicubic": cv2.INTER_CUBIC}
LATENT: Final = "latent"
UPSCALERS: Final[dict[Upscaler, str]] = {  # as the web UI names them
    "lanczos": "Lanczos",
    "bicubic": "Bicubic",
    "latent": "Latent (bicubic)",
}


def upscaler_name(name: str) -> Upscaler:
    """Find an upscaler of a second pass by its name; else UnknownName."""
    for own in UPSCALERS:
        if own == name:
            return own
    raise UnknownName(unknown("upscaler", name, UPSCALERS))


def enlarged(array: Pixels, size: Size, upscaler: str = "lanczos") -> Pixels:
    """Bring a picture (H, W, 3) uint8 to another size; where that is smaller, by the mean over areas.

    Raises UnknownName for another upscaler than those of `PIXELS`.
    """
    if upscaler not in PIXELS:
        raise UnknownName(unknown("upscaler of pictures", upscaler, PIXELS))
    height, width = array.shape[:2]
    if (width, height) == size:
        return array
    shrinks = size[0] * size[1] < width * height
    result: Any = cv2.resize(array, size, interpolation=cv2.INTER_AREA if shrinks else PIXELS[upscaler])
    return result


def enlarged_latents(latents: Float[Tensor, "B C h w"], size: Size, downscale: int) -> Tensor:
    """Bring latents to a size in pixels, bicubic; the noise of a second pass mends what that blurs."""
    sides = (size[1] // downscale, size[0] // downscale)
    return interpolate(latents.float(), sides, mode="bicubic", align_corners=False).to(latents.dtype)

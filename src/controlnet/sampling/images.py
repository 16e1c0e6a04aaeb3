"""Pictures to tensors and back, and the resizing of control maps."""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from controlnet.conditions._image import Picture, Pixels, resized, to_array

FEW_COLOURS: Final = 200  # a map with no more distinct colours is taken for labels, lines or a skeleton

Size = tuple[int, int]  # width, height, in pixels


def picture_size(image: Picture | Tensor) -> Size:
    """Give width and height of a picture, or of a tensor (…, H, W)."""
    if isinstance(image, Tensor):
        return int(image.shape[-1]), int(image.shape[-2])
    height, width = to_array(image).shape[:2]
    return width, height


def resize_map(array: Pixels, size: Size) -> Pixels:
    """Resize a control map: nearest where it has few colours, else smoothly.

    Interpolation would invent classes in a segmentation map and grey in an edge map.
    """
    packed = array.astype(np.uint32) @ np.array([1, 1 << 8, 1 << 16], dtype=np.uint32)
    return resized(array, *size, label_map=len(np.unique(packed)) <= FEW_COLOURS)


def to_condition(image: Picture | Tensor, size: Size) -> Float[Tensor, "B C H W"]:
    """Turn a control picture into a condition in [0, 1] of the wanted size; a tensor passes as it is."""
    if isinstance(image, Tensor):
        return image
    return _planes(resize_map(to_array(image), size)) / 255.0


def to_mask(mask: Picture | Tensor, size: Size) -> Float[Tensor, "B 1 H W"]:
    """Turn a mask picture into (1, 1, H, W) in [0, 1], white to 1; a tensor passes as it is."""
    if isinstance(mask, Tensor):
        return mask
    return _planes(resize_map(to_array(mask), size)).mean(dim=1, keepdim=True) / 255.0


def to_pixels(image: Picture, size: Size) -> Float[Tensor, "1 3 H W"]:
    """Turn a photo into pixels in [-1, 1] of the wanted size."""
    return _planes(resized(to_array(image), *size)) / 127.5 - 1.0


def to_pictures(pixels: Float[Tensor, "B 3 H W"]) -> list[Image.Image]:
    """Turn pixels in [-1, 1] into pictures; what lies outside is clipped."""
    scaled = ((pixels.float() / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8)
    return [Image.fromarray(array) for array in scaled.permute(0, 2, 3, 1).cpu().numpy()]


def _planes(array: Pixels) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).permute(2, 0, 1)[None].contiguous()

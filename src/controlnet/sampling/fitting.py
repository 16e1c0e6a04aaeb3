"""Controls brought onto a canvas: filled up beyond the picture's right and bottom edges, or cut to a part."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.nn.functional import interpolate, pad

from controlnet.conditions._image import Picture, Pixels, to_array
from controlnet.sampling.control import Control
from controlnet.sampling.images import Size, resize_map
from controlnet.sampling.tiles import Box


def filled(array: Pixels, canvas: Size) -> Pixels:
    """Repeat a picture's last pixels at right and bottom until it has the canvas's width and height."""
    height, width = array.shape[:2]
    return np.pad(array, ((0, canvas[1] - height), (0, canvas[0] - width), (0, 0)), mode="edge")


def on_canvas(control: Control, size: Size, canvas: Size) -> Control:
    """Bring a control of a picture of `size` onto a larger canvas, its image and its mask alike.

    Pictures and masks are resized to `size` first; an image that is a tensor has it already.
    """
    mask = control.mask
    if isinstance(mask, Tensor) and mask.ndim == 4:
        mask = interpolate(mask, (size[1], size[0]), mode="bilinear", antialias=True)
    mask = None if mask is None else _on_canvas(mask, size, canvas)
    return replace(control, image=_on_canvas(control.image, size, canvas), mask=mask)


def cut_out(controls: Sequence[Control], box: Box) -> list[Control]:
    """Cut controls that are on their canvas to one tile; those whose mask is black there are left out."""
    cuts: list[Control] = []
    for control in controls:
        mask = None if control.mask is None else _cut(control.mask, box)
        if mask is None or bool(mask.any()):
            cuts.append(replace(control, image=_cut(control.image, box), mask=mask))
    return cuts


def _on_canvas(image: Picture | Tensor, size: Size, canvas: Size) -> Picture | Tensor:
    if isinstance(image, Tensor):
        right, below = canvas[0] - image.shape[-1], canvas[1] - image.shape[-2]
        return pad(image, (0, right, 0, below), mode="replicate") if right > 0 or below > 0 else image
    return filled(resize_map(to_array(image), size), canvas)


def _cut(image: Picture | Tensor, box: Box) -> Pixels | Tensor:
    if isinstance(image, Tensor):
        return image[..., box.top : box.bottom, box.left : box.right]
    return box.cut(to_array(image))

"""Pictures of any size, a part of them painted anew (`inpaint`) or grown at their borders (`outpaint`)."""

from collections.abc import Sequence
from typing import Final, Literal, Unpack, get_args

import numpy as np
from PIL import Image

from controlnet.backbones import Base
from controlnet.conditions._image import Picture, Pixels, to_array
from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import unknown
from controlnet.sampling.control import Control
from controlnet.sampling.fitting import filled, on_canvas
from controlnet.sampling.images import Size, resize_map
from controlnet.sampling.inpaint import feathered
from controlnet.sampling.latents import Preview, Progress
from controlnet.sampling.options import Options
from controlnet.sampling.pipeline import generate
from controlnet.sampling.size import stride

Fill = Literal["edge", "reflect", "grey"]
Side = Literal["left", "top", "right", "bottom"]

SIDES: Final[tuple[Side, ...]] = get_args(Side)
_GREY: Final = 127


def inpaint(
    base: Base,
    prompt: str,
    image: Picture,
    mask: Picture,
    controls: Sequence[Control] = (),
    *,
    strength: float = 1.0,
    feather: int = 0,
    seed: int = 7,
    count: int = 1,
    progress: Progress | None = None,
    preview: Preview | None = None,
    **options: Unpack[Options],
) -> list[Image.Image]:
    """Paint anew what is white in the mask; the rest of the picture returns to the bit, whatever its size.

    As `generate(image=, mask=)`, but a size that the base cannot make is filled up and cut back instead of
    resized. controls: of the picture's size. feather: width in pixels of a soft edge around the mask, within
    which picture and painting blend. A ControlNet for inpainting takes `inpaint_hint(image, mask)`.

    Raises what `generate` raises.
    """
    array = to_array(image)
    size = (array.shape[1], array.shape[0])
    canvas = _makeable(base, size)
    region = resize_map(to_array(mask), size)
    if feather:
        region = to_array(feathered(region, feather))
    pictures = generate(
        base,
        prompt,
        [on_canvas(control, size, canvas) for control in controls],
        seed=seed,
        count=count,
        width=canvas[0],
        height=canvas[1],
        image=filled(array, canvas),
        mask=filled(region, canvas),
        strength=strength,
        progress=progress,
        preview=preview,
        **options,
    )
    return [picture.crop((0, 0, *size)) for picture in pictures]


def outpaint(
    base: Base,
    prompt: str,
    image: Picture,
    controls: Sequence[Control] = (),
    *,
    left: int = 0,
    right: int = 0,
    top: int = 0,
    bottom: int = 0,
    fill: Fill = "edge",
    strength: float = 1.0,
    feather: int = 0,
    seed: int = 7,
    count: int = 1,
    progress: Progress | None = None,
    preview: Preview | None = None,
    **options: Unpack[Options],
) -> list[Image.Image]:
    """Grow a picture by so many pixels at each side, and paint what is new.

    controls: of the grown picture's size; see `extended` for one that a ControlNet for inpainting takes.
    feather: how many pixels of the old picture blend into the new; 0 returns it to the bit. fill: what lies
    under the new part; at strength 1 it matters only to the network's first look at the border.

    Raises what `generate` and `extended` raise.
    """
    canvas, mask = extended(image, left=left, right=right, top=top, bottom=bottom, fill=fill)
    return inpaint(
        base,
        prompt,
        canvas,
        mask,
        controls,
        strength=strength,
        feather=feather,
        seed=seed,
        count=count,
        progress=progress,
        preview=preview,
        **options,
    )


def extended(
    image: Picture, *, left: int = 0, right: int = 0, top: int = 0, bottom: int = 0, fill: Fill = "edge"
) -> tuple[Image.Image, Image.Image]:
    """Give the grown picture, filled at its new sides, and the mask that is white where it is new.

    fill: "edge" repeats the outermost pixels, "reflect" mirrors the picture, "grey" is even. Raises
    SettingError where no side grows, or one shrinks, and UnknownName for another fill.
    """
    sides = (left, right, top, bottom)
    if min(sides) < 0 or not any(sides):
        raise SettingError(
            f"got left={left}, right={right}, top={top}, bottom={bottom}; wanted pixels from 0 to grow by, "
            "at least one side of them above 0"
        )
    if fill not in get_args(Fill):
        raise UnknownName(unknown("fill", fill, get_args(Fill)))
    array = to_array(image)
    mask = np.full((array.shape[0] + top + bottom, array.shape[1] + left + right), 255, np.uint8)
    mask[top : top + array.shape[0], left : left + array.shape[1]] = 0
    return Image.fromarray(_grown(array, sides, fill)), Image.fromarray(mask)


def _grown(array: Pixels, sides: tuple[int, int, int, int], fill: Fill) -> Pixels:
    left, right, top, bottom = sides
    around = ((top, bottom), (left, right), (0, 0))
    if fill == "grey":
        return np.pad(array, around, constant_values=_GREY)
    return np.pad(array, around, mode=fill)


def _makeable(base: Base, size: Size) -> Size:
    """Give the smallest size that holds this one and that the base can make."""
    if size == (base.sample_size, base.sample_size):
        return size
    grid = stride(base)
    return -(-size[0] // grid) * grid, -(-size[1] // grid) * grid

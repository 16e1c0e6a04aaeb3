"""Control maps: made at the output's size, handed on as a ControlNet sees them, kept beside results."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from controlnet.cli._png import save_png

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from controlnet.conditions._base import Condition

Size = tuple[int, int]

HOLES: Final = "inpaint"  # the condition whose black pixels are what is painted anew
AS_IT_IS: Final = f'{HOLES}(mark="black", tolerance=0, smallest=0)'  # changes nothing of such a map


def mapped(
    image: "np.ndarray", maker: "Condition | None", size: Size, mask: "np.ndarray | None" = None
) -> "np.ndarray":
    """Make the map at the output's size: lines that were found at another one do not survive the resizing.

    mask: where the picture is painted anew; it tells the holes of a map for inpainting.
    """
    from controlnet.conditions import annotate
    from controlnet.conditions._image import resized

    if maker is None:
        return image
    image = resized(image, *size)
    return annotate(maker, image) if mask is None or maker.name() != HOLES else _holed(image, mask)


def seen(image: "np.ndarray", maker: "Condition | None") -> "np.ndarray | Tensor":
    """Give the map as its ControlNet takes it: for inpainting with -1 in the holes, which no byte can be."""
    from controlnet.sampling import inpaint_hint

    return inpaint_hint(image) if maker is not None and maker.name() == HOLES else image


def save_map(path: Path, image: "np.ndarray", annotator: str | None) -> None:
    """Write a map as a PNG that names its annotator."""
    from PIL import Image

    save_png(path, Image.fromarray(image), {"controlnet": json.dumps({"annotator": annotator})})


def _holed(image: "np.ndarray", mask: "np.ndarray") -> "np.ndarray":
    """Make the map of the condition `inpaint` where a mask tells the holes."""
    import numpy as np

    holes = mask.mean(axis=2, keepdims=True) > 127.5
    picture = np.maximum(image, ~image.any(axis=2, keepdims=True))  # whose own black is not quite black
    return np.where(holes, 0, picture).astype(np.uint8)

"""What the conditions of segmentation have in common."""

from typing import Final

from controlnet.conditions._image import Pixels
from controlnet.conditions._palettes import Palette
from controlnet.conditions._weights import Weights
from controlnet.errors import CheckpointError

PAPER: Final = "J. Jain et al., OneFormer: One Transformer to Rule Universal Image Segmentation, 2211.06220"
LICENCE: Final = "code and weights MIT"
ADVICE: Final = (
    "no classical method tells what a photograph shows: bring a map in the standard colours; pictures of the "
    "embedded world, and no others, have shapes_segmentation"
)


def painted(image: Pixels, weights: Weights, palette: Palette) -> Pixels:
    """Paint each pixel in the colour of its likeliest class; CheckpointError for a model of other classes."""
    from controlnet.conditions._networks.load import pretrained, to_input
    from controlnet.conditions._networks.oneformer import one_former

    seen = pretrained(one_former, weights)(to_input(image))[0]
    if len(seen) != len(palette.names):
        raise CheckpointError(
            f"{weights.name} knows {len(seen)} classes; wanted the {len(palette.names)} of the palette"
        )
    return palette.paint(seen.argmax(dim=0).cpu().numpy())

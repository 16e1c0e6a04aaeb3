"""What the two conditions of realistic line art have in common."""

from typing import Final

from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights

PAPER: Final = "C. Chan, F. Durand, P. Isola, Learning to Generate Line Drawings, arXiv 2203.12691"
LICENCE: Final = "code and weights MIT"


def informative_drawing(image: Pixels, weights: Weights) -> Pixels:
    """Return a drawing of a picture whose sides are multiples of 4: light lines on black.

    The network draws in black on white; the ControlNets were trained on the inverse.
    """
    from controlnet.conditions._networks.lineart import LineArt
    from controlnet.conditions._networks.load import network, to_input, to_map

    return 255 - to_map(network(LineArt, weights)(to_input(image))[0])

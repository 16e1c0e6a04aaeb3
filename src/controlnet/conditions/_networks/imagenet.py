"""Pictures as networks expect them that began with a classifier of ImageNet."""

from typing import Final

from jaxtyping import Float
from torch import Tensor

# Of all pictures of ImageNet, with colours in 0 … 1, RGB.
MEAN: Final = (0.485, 0.456, 0.406)
DEVIATION: Final = (0.229, 0.224, 0.225)


def standardised(pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Return pictures, RGB in 0 … 255, with ImageNet's mean at 0 and its deviation at 1 in each colour."""
    mean, deviation = (pictures.new_tensor(colour).view(1, 3, 1, 1) for colour in (MEAN, DEVIATION))
    return (pictures / 255 - mean) / deviation

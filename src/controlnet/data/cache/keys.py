"""Names for what a network is given: equal for equal content and for nothing else.

A picture is named by its pixels as they come out of the transform. So one that is cut, scaled or mirrored
otherwise is another one, whatever the setting that did it, and a setting that changes no pixel changes no
name.
"""

import hashlib

from jaxtyping import Float
from torch import Tensor

_DIGITS = 32  # hexadecimal; 128 bits: no two of 10^15 pictures get one name by chance


def pixels_key(pixels: Float[Tensor, "... H W"]) -> str:
    """Return the name of a picture on the CPU, (3,H,W) or (1,3,H,W), from its size and its values."""
    digest = hashlib.sha256(f"{tuple(pixels.shape[-3:])} {pixels.dtype} ".encode())
    digest.update(pixels.contiguous().numpy().tobytes())
    return digest.hexdigest()[:_DIGITS]


def caption_key(caption: str, size: tuple[int, int] | None = None) -> str:
    """Return the name of a caption, and of the size (H, W) for encoders to which that matters."""
    return hashlib.sha256(f"{size} {caption}".encode()).hexdigest()[:_DIGITS]

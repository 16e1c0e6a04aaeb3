"""A hash of how a picture looks, and keys by which pictures that look alike are found among millions."""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any, Final

import cv2
import numpy as np

from controlnet.data.pictures import Pixels

BITS: Final = 64
_SIDE, _LOW = 32, 8


def perceptual_hash(image: Pixels) -> int:
    """Return 64 bits that hardly change when a picture (H, W, 3) is resized, recompressed or retouched.

    Bit i tells whether one of the 8×8 lowest frequencies, means left out, is above their median. Source: the
    DCT hash of C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010, 3.2.1.
    """
    grey: Any = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small: Any = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    low = np.asarray(cv2.dct(small.astype(np.float32)))[1 : _LOW + 1, 1 : _LOW + 1].ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


def distance(one: int, other: int) -> int:
    """Count the bits in which two hashes differ."""
    return (one ^ other).bit_count()


def keys(value: int, near: int) -> Iterator[int]:
    """Yield the keys of a hash, below 2^63: two hashes that differ in at most `near` bits share a key.

    The bits are cut into near + 2 blocks. Of those at most `near` can differ, so two are the same, and each
    pair of blocks makes a key. Of n random hashes one key finds about n / 2^(128 / (near + 2)): for near = 4
    and three million pictures one or two.
    """
    if near == 0:
        yield value >> 1
        return
    edges = [BITS * block // (near + 2) for block in range(near + 3)]
    blocks = [(value >> low) & ((1 << (high - low)) - 1) for low, high in pairwise(edges)]
    for number, (one, other) in enumerate(combinations(range(near + 2), 2)):
        bits = blocks[one] << (edges[other + 1] - edges[other]) | blocks[other]
        yield number << 44 | bits

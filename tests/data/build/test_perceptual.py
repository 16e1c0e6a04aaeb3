"""The hash of a picture's look, and the keys that find it again."""

import random
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from controlnet.data.build.ledger import Ledger, State
from controlnet.data.build.perceptual import BITS, distance, keys, perceptual_hash


def spots(seed: int) -> Image.Image:
    squares = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(squares).resize((96, 96), Image.Resampling.BICUBIC)


def hash_of(image: Image.Image) -> int:
    return perceptual_hash(np.asarray(image))


def compressed(image: Image.Image) -> Image.Image:
    file = BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file).convert("RGB")


def test_copies_are_near_and_others_are_far() -> None:
    for seed in range(10):
        image = spots(seed)
        own = hash_of(image)
        copies = [
            compressed(image),
            image.resize((48, 48)),
            image.resize((200, 200)),
            image.point(lambda v: v * 0.8),
        ]
        assert max(distance(own, hash_of(copy)) for copy in copies) <= 4
        assert distance(own, hash_of(spots(seed + 100))) > 12


def test_half_of_the_bits_are_set() -> None:
    assert {hash_of(spots(seed)).bit_count() for seed in range(10)} == {BITS // 2}


def test_hashes_within_reach_share_a_key_and_keys_of_different_blocks_never_meet() -> None:
    rng = random.Random(0)
    for near in range(7):
        for _ in range(200):
            one = rng.getrandbits(BITS)
            other = one
            for bit in rng.sample(range(BITS), near):
                other ^= 1 << bit
            assert set(keys(one, near)) & set(keys(other, near))
        assert all(0 <= key < 2**63 for key in keys(2**BITS - 1, near))
        blocks = 1 if near == 0 else (near + 2) * (near + 1) // 2
        assert len(set(keys(rng.getrandbits(BITS), near))) == blocks


def test_the_ledger_finds_what_a_search_through_all_finds(tmp_path: Path) -> None:
    rng = random.Random(1)
    ledger, held = Ledger(tmp_path / "l", near=4), []
    for number in range(300):
        value = rng.getrandbits(BITS) if number < 50 else held[rng.randrange(50)]
        for bit in rng.sample(range(BITS), rng.randrange(8) if number >= 50 else 0):
            value ^= 1 << bit
        first = next((n for n, other in enumerate(held) if distance(value, other) <= 4), None)
        assert ledger.like(value) == first
        ledger.commit(State(), (value, number))
        held.append(value)
    ledger.close()

"""Aspect-ratio buckets: which sizes there are, which picture goes where, and the same cut for its map."""

from math import log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlnet.data import Batch, Buckets, DatasetWriter, FolderDataset, Loader
from controlnet.errors import SettingError

SMALL = Buckets(24, step=8)


def test_the_sizes_of_stable_diffusion() -> None:
    assert Buckets(512).sizes == (
        *((384, 640), (448, 576)),
        (512, 512),
        *((576, 448), (640, 384)),
    )
    assert Buckets(512, ratio=1).sizes == ((512, 512),)


@given(
    st.sampled_from([8, 16, 64]),
    st.integers(1, 16),
    st.floats(1, 4),
    st.integers(1, 9999),
    st.integers(1, 9999),
)
def test_buckets_are_multiples_of_the_step_no_larger_than_the_square(
    step: int, many: int, ratio: float, height: int, width: int
) -> None:
    buckets = Buckets(step * many, step, ratio)
    assert (step * many,) * 2 in buckets.sizes and len(set(buckets.sizes)) == len(buckets.sizes)
    for tall, wide in buckets.sizes:
        assert tall % step == wide % step == 0 and tall * wide <= (step * many) ** 2
        assert max(tall, wide) <= ratio * min(tall, wide) and (wide, tall) in buckets.sizes
    tall, wide = buckets.nearest(height, width)
    away = abs(log(height / width) - log(tall / wide))
    assert all(away <= abs(log(height / width) - log(h / w)) + 1e-9 for h, w in buckets.sizes)


@pytest.mark.parametrize(("side", "step", "ratio"), [(500, 64, 2), (32, 64, 2), (64, 0, 2), (64, 64, 0.5)])
def test_buckets_without_a_square_are_refused(side: int, step: int, ratio: float) -> None:
    with pytest.raises(SettingError, match="wanted a side that is a multiple of the step"):
        Buckets(side, step, ratio)


@pytest.fixture
def folder(tmp_path: Path) -> FolderDataset:
    """Pictures of three shapes whose maps are the pictures themselves."""
    rng = np.random.default_rng(0)
    with DatasetWriter(tmp_path) as writer:
        for index, (height, width) in enumerate([(60, 60), (40, 80), (80, 40)] * 7):
            picture = rng.integers(0, 256, (height, width, 3), np.uint8)
            writer.add(picture, picture, f"picture {index}", {"index": index})
    return FolderDataset(tmp_path, size=SMALL, crop="random", flip=True)


def loader(folder: FolderDataset, batch: int = 4, **settings: int) -> Loader:
    groups = SMALL.of(folder, range(len(folder)))
    return Loader(folder, batch, prefetch=0, groups=groups, **settings)


def test_pictures_go_where_they_lose_least(folder: FolderDataset) -> None:
    numbers = SMALL.of(folder, range(6))
    sizes = [SMALL.sizes[number] for number in numbers]
    assert sizes[:3] == sizes[3:] == [(24, 24), (16, 32), (32, 16)]


def test_a_batch_is_of_one_size_with_one_cut_for_picture_and_map(folder: FolderDataset) -> None:
    seen: set[tuple[int, int]] = set()
    for step in range(12):
        batch: Batch = loader(folder).batch(step)
        assert np.allclose(batch.pixels.numpy() / 2 + 0.5, batch.condition.numpy(), atol=1e-6)
        assert {SMALL.nearest(*folder.size_of(index)) for index in batch.indices} == {batch.size}
        seen.add(batch.size)
    assert len(seen) == 3


def test_a_bad_picture_is_replaced_by_one_of_its_bucket(folder: FolderDataset) -> None:
    made, path = loader(folder), folder[4].image
    folder.max_bad = 0.5
    path.write_bytes(path.read_bytes()[:-60])
    taken = [index for step in range(30) for index in made.batch(step).indices]
    assert 4 not in taken and taken.count(7) == pytest.approx(2 * taken.count(10), abs=2)

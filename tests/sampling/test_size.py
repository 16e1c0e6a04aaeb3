"""Sizes: asked for, taken from a picture, the base's own; impossible ones refused with the mend."""

import pytest

from controlnet.backbones import Base, load_base
from controlnet.errors import ShapeError
from controlnet.sampling.size import output_size, stride, warn_if_far
from tests.helpers import tiny_base


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """The tiny base, said to be trained at 128 pixels."""
    base = load_base(tiny_base(tmp_path_factory.mktemp("larger")))
    base.network.register_to_config(sample_size=16)  # type: ignore[operator]
    return base


def test_the_grid_is_that_of_vae_and_network(larger: Base) -> None:
    assert stride(larger) == 8 * 8
    assert larger.sample_size == 128


@pytest.mark.parametrize(
    ("width", "height", "pictures", "size"),
    [
        (None, None, [], (128, 128)),
        (192, None, [], (192, 128)),
        (192, 64, [(500, 500)], (192, 64)),
        (None, None, [(128, 192), (64, 64)], (128, 192)),
        (None, None, [(150, 95)], (128, 64)),
        (None, None, [(5, 3)], (64, 64)),
        (256, None, [(200, 100)], (256, 128)),
        (None, 64, [(300, 100)], (192, 64)),
    ],
)
def test_size(
    larger: Base,
    width: int | None,
    height: int | None,
    pictures: list[tuple[int, int]],
    size: tuple[int, int],
) -> None:
    assert output_size(larger, width, height, pictures) == size


@pytest.mark.parametrize(
    ("width", "height", "mend"),
    [
        (100, 128, "128x128"),
        (0, 128, "64x128"),
        (-64, 64, "64x64"),
        (128, 32, "128x64"),
        (130, 700, "128x704"),
    ],
)
def test_the_mend_is_a_size_that_can_be_made(larger: Base, width: int, height: int, mend: str) -> None:
    with pytest.raises(ShapeError, match=f"multiples of 64.*{mend} is near"):
        output_size(larger, width, height, [])


def test_too_large_is_refused(larger: Base) -> None:
    with pytest.raises(ShapeError, match="at most 1024x1024"):
        output_size(larger, 1088, 1024, [])
    with pytest.raises(ShapeError, match="smaller"):
        output_size(larger, None, None, [(4000, 3000)])


def test_far_from_the_trained_size_is_told(larger: Base, caplog: pytest.LogCaptureFixture) -> None:
    warn_if_far(larger, (256, 256))
    assert not caplog.records
    warn_if_far(larger, (320, 256))
    assert "trained at" in caplog.text


def test_the_own_size_is_always_possible(base: Base) -> None:
    assert base.sample_size == 32 < stride(base)
    assert output_size(base, None, None, []) == (32, 32)

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from controlnet.data import Circles, DatasetWriter

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A maker of small folders of circles, of `count` examples."""

    def _make(count: int, name: str = "set", size: int = 24, **provenance: object) -> Path:
        draw = Circles(seed=1, size=size)
        with DatasetWriter(tmp_path / name) as writer:
            for index in range(count):
                writer.add(*draw(index), {"generator": "circles", "seed": 1, "index": index, **provenance})
        return tmp_path / name

    return _make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)

"""An engine with one worker over the embedded base, brought up once for all tests of this folder."""

from collections.abc import Iterator

import numpy as np
import pytest

from controlnet.service import Catalog, Engine, Limits, Settings
from controlnet.shapes import render


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    made = Engine(Catalog.of(), Settings(devices=("cpu",), threads=1), Limits(grace=20))
    made.start()
    try:
        assert made.wait_ready(300), made.trouble
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    return np.asarray(render(seed=2, index=0).image)

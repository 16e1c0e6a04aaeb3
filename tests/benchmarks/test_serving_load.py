"""The measurement of the service under a crowd: it notices what goes wrong, and runs with a small one."""

import numpy as np
import pytest

from benchmarks.frame import Report
from benchmarks.serving_load import Watched, compared, measure, wishes


def values(report: Report) -> dict[str, float]:
    return {figure.what: figure.value for figure in report.figures}


def test_crossed_pictures_are_noticed() -> None:
    generator = np.random.default_rng(0)
    alone = [generator.integers(0, 255, (8, 8, 3), np.uint8) for _ in range(4)]
    near = [alone[0] + np.uint8(1), *alone[1:]]
    assert compared(alone, alone) == (0, 0)
    assert compared(near, alone) == (0, 1)
    crossed, most = compared([alone[0], alone[2], alone[1], None], alone)
    assert crossed == 2 and most > 100


def test_every_client_wants_another_picture_and_some_speak_the_dialect() -> None:
    wanted = wishes(20)
    assert len({wish.seed for wish in wanted}) == len({wish.prompt for wish in wanted}) == 20
    assert sum(wish.dialect for wish in wanted) == 4
    assert len({wish.hint for wish in wanted if wish.hint is not None}) == 2


def test_memory_is_looked_at_after_the_warm_up() -> None:
    watched = Watched([0, 10, 20, 50, 100], {"front": [1 << 20, 5 << 20, 6 << 20, 7 << 20, 8 << 20]})
    assert watched.later("front") == ([20, 50, 100], [6.0, 7.0, 8.0])


@pytest.mark.slow
def test_a_small_crowd_is_served() -> None:
    report = measure(1, clients=12, hour=36)
    found = values(report)
    for what in ("lost", "crossed: nearer to another client's picture"):
        assert found[what] == 0
    assert found["largest difference from the picture alone, of 255"] == 0
    assert found["different pictures among those made alone"] == 12
    assert found["failed, cancelled or left over in the services"] == 0
    assert found["worker: in the middle"] > found["front: in the middle"] / 2 > 0

"""What every metric promises, for whichever there are: nothing here names one."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from controlnet import registry
from controlnet.errors import DataError, ShapeError
from controlnet.evaluation.averaged import Averaged
from controlnet.evaluation.metric import Metric
from tests.metric_stand_ins import ANNOTATED, stand_ins

NAMES = registry.names("metrics")
CAPTION = "a red cube on a sand floor under a clear sky"
RNG = np.random.default_rng(0)
PICTURES = [RNG.integers(0, 256, (32, 48, 3), dtype=np.uint8) for _ in range(3)]


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True, scope="module")
def networks() -> Iterator[None]:
    with stand_ins():
        yield


def made(name: str) -> Metric:
    return registry.get("metrics", ANNOTATED.get(name, name))


def shown(name: str, *pictures: np.ndarray) -> Metric:
    """Show pictures, with the first one as condition, and a true one for each."""
    metric = made(name)
    for picture in pictures:
        metric.update(picture, PICTURES[0], CAPTION, 255 - picture)
    return metric


def measured(name: str, *pictures: np.ndarray) -> dict[str, float]:
    return shown(name, *pictures).compute()


def test_there_are_metrics() -> None:
    assert {"attributes", "edge_f1"} <= set(NAMES)


def test_the_headline_comes_first_and_bears_the_name(name: str) -> None:
    found = measured(name, *PICTURES)
    assert next(iter(found)) == name
    assert all(type(value) is float and not math.isinf(value) for value in found.values())
    assert all(key == name or key.startswith(f"{name}_") for key in found)


def test_it_describes_itself(name: str) -> None:
    metric = registry.find("metrics", name)
    assert metric.title and metric.unit and isinstance(metric.higher_is_better, bool)
    assert metric.__doc__ and metric.__doc__ != Metric.__doc__
    assert getattr(metric, "__final__", False)


def test_same_samples_same_measure_and_order_does_not_matter(name: str) -> None:
    assert measured(name, *PICTURES) == measured(name, *PICTURES)
    assert measured(name, *PICTURES) == pytest.approx(measured(name, *PICTURES[::-1]), nan_ok=True)


def test_instances_share_nothing(name: str) -> None:
    one, other = made(name), made(name)
    one.update(PICTURES[1], PICTURES[0], CAPTION, PICTURES[2])
    with pytest.raises(DataError):
        other.compute()


def test_it_can_be_read_in_between(name: str) -> None:
    metric = shown(name, PICTURES[0])
    first = metric.compute()
    assert metric.compute() == pytest.approx(first, nan_ok=True)
    metric.update(PICTURES[1], PICTURES[0], CAPTION, 255 - PICTURES[1])
    assert metric.compute() == pytest.approx(measured(name, *PICTURES[:2]), nan_ok=True)


def test_counts_and_intervals_are_told(name: str) -> None:
    metric = shown(name, *PICTURES)
    value, interval = next(iter(metric.compute().values())), metric.interval()
    assert 0 <= metric.count <= len(PICTURES) and metric.interval() == interval
    if interval is not None and not math.isnan(value):
        low, high = interval
        assert (low <= high and metric.interval(0.5) != interval) or low == high


def test_scores_of_single_pictures_are_those_of_single_sets(name: str) -> None:
    metric = shown(name, *PICTURES)
    if isinstance(metric, Averaged):
        alone = [next(iter(measured(name, picture).values())) for picture in PICTURES]
        assert metric.scores() == pytest.approx(alone, nan_ok=True)


def test_a_truth_that_is_lacking_is_told(name: str) -> None:
    metric = made(name)
    if metric.wants_truth:
        with pytest.raises(DataError, match="truth"):
            metric.update(PICTURES[0], PICTURES[1], CAPTION)
    else:
        metric.update(PICTURES[0], PICTURES[1], CAPTION)


def test_nothing_taken_is_told(name: str) -> None:
    with pytest.raises(DataError, match="update"):
        made(name).compute()


def test_an_empty_caption_is_no_error(name: str) -> None:
    metric = made(name)
    metric.update(PICTURES[0], PICTURES[1], "", PICTURES[2])
    assert next(iter(metric.compute())) == name


def test_samples_are_left_as_they_were(name: str) -> None:
    picture, condition = PICTURES[0].copy(), PICTURES[1].copy()
    picture.flags.writeable = condition.flags.writeable = False
    made(name).update(picture, condition, CAPTION, PICTURES[2])
    assert np.array_equal(picture, PICTURES[0]) and np.array_equal(condition, PICTURES[1])


def test_other_arrays_are_refused(name: str) -> None:
    metric = made(name)
    for wrong in (np.zeros((32, 48, 3)), np.zeros((32, 48), np.uint8), np.zeros((32, 48, 4), np.uint8)):
        for pair in ((wrong, PICTURES[0]), (PICTURES[0], wrong)):
            with pytest.raises(DataError, match="H×W×3"):
                metric.update(*pair, CAPTION, PICTURES[0])
    for condition, truth in ((PICTURES[0][:16], PICTURES[0]), (PICTURES[0], PICTURES[0][:16])):
        with pytest.raises(ShapeError, match="48×32"):
            metric.update(PICTURES[0], condition, CAPTION, truth)

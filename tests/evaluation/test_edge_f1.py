"""Edge F1 against values worked out by hand."""

import cv2
import numpy as np
import pytest

from controlnet import registry
from controlnet.conditions import annotate
from controlnet.errors import ControlNetError
from controlnet.evaluation.metrics.edge_f1 import EdgeF1
from controlnet.shapes import render

BLACK = np.zeros((64, 64, 3), np.uint8)


def box(left: int, top: int = 16, side: int = 32) -> np.ndarray:
    """Draw a white square, whose canny edges run around it."""
    picture = BLACK.copy()
    picture[top : top + side, left : left + side] = 255
    return picture


def score(picture: np.ndarray, condition: np.ndarray, **thresholds: int) -> tuple[float, float]:
    metric = EdgeF1(**thresholds)
    metric.update(picture, condition, "")
    found = metric.compute()
    return found["edge_f1"], found["edge_f1_exact"]


def test_a_picture_obeys_its_own_edges() -> None:
    for picture in (box(16), render(2, 0).image):
        assert score(picture, np.asarray(annotate("canny", picture))) == (1.0, 1.0)


def test_one_pixel_off_is_forgiven_and_two_are_not() -> None:
    wanted = np.asarray(annotate("canny", box(16)))
    near, exact = score(box(17), wanted)
    assert near == 1.0 and 0.3 < exact < 0.6  # the horizontal sides overlap, the upright ones do not
    near, exact = score(box(18), wanted)
    assert 0.4 < near < 0.7 and exact < near


def test_precision_and_recall_count_alike() -> None:
    wanted = np.asarray(annotate("canny", box(16)))
    half = wanted.copy()
    half[:, :32] = 0
    share = np.count_nonzero(half) / np.count_nonzero(wanted)
    assert score(box(16), half)[1] == pytest.approx(2 * share / (1 + share))  # recall 1, precision `share`
    canny = cv2.Canny(box(16), 100, 200) > 0
    more = np.repeat(
        np.where(canny | (np.arange(64) == 2)[:, None], 255, 0).astype(np.uint8)[..., None], 3, -1
    )
    recall = canny.sum() / (canny.sum() + 64)
    assert score(box(16), more) == pytest.approx((2 * recall / (1 + recall),) * 2)


def test_pictures_without_edges() -> None:
    wanted = np.asarray(annotate("canny", box(16)))
    assert score(BLACK, BLACK) == (1.0, 1.0)
    assert score(BLACK, wanted) == (0.0, 0.0)
    assert score(box(16), BLACK) == (0.0, 0.0)


def test_edges_apart_score_nothing() -> None:
    assert score(box(2, 2, 10), np.asarray(annotate("canny", box(40, 40, 10)))) == (0.0, 0.0)


def test_the_mean_is_taken_over_pictures() -> None:
    metric = EdgeF1()
    metric.update(box(16), np.asarray(annotate("canny", box(16))), "")
    metric.update(BLACK, np.asarray(annotate("canny", box(16))), "")
    metric.update(BLACK, np.asarray(annotate("canny", box(16))), "")
    assert metric.compute()["edge_f1"] == pytest.approx(1 / 3)


def test_grey_in_a_resized_map_counts_from_the_middle_on() -> None:
    wanted = np.asarray(annotate("canny", box(16)))
    assert score(box(16), (wanted // 2 + 1)) == (1.0, 1.0)  # 128
    assert score(BLACK, (wanted // 2)) == (1.0, 1.0)  # 127: no edge


def test_thresholds_come_from_the_text() -> None:
    faint = (box(16) // 10).astype(np.uint8)
    fine = np.asarray(annotate("canny(low=10, high=20)", faint))
    assert fine.any() and score(faint, fine)[0] == 0
    metric = registry.get("metrics", "edge_f1(low=10, high=20)")
    metric.update(faint, fine, "")
    assert metric.compute()["edge_f1"] == 1
    for wrong in ("edge_f1(low=300)", "edge_f1(low=200, high=100)", "edge_f1(sigma=1)", "edge_f1('1')"):
        with pytest.raises(ControlNetError):
            registry.get("metrics", wrong)

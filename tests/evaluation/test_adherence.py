"""Adherence of each condition, against values worked out by hand."""

import numpy as np
import pytest
import torch

from controlnet import registry
from controlnet.errors import SettingError
from controlnet.evaluation._people import AREA, SIGMAS, matched, oks, within
from controlnet.evaluation.metrics.depth_rmse import aligned, stretched
from controlnet.evaluation.metrics.msssim import MSSSIM, fitting, ms_ssim
from controlnet.evaluation.metrics.normal_angle import angles_between
from controlnet.shapes import render

RNG = np.random.default_rng(0)


def grey(values: list[list[int]]) -> np.ndarray:
    return np.repeat(np.array(values, np.uint8)[..., None], 3, axis=-1)


def test_depths_are_stretched_alike_before_they_are_compared() -> None:
    one, other = grey([[10, 30], [50, 110]]), grey([[0, 51], [102, 255]])
    assert np.allclose(stretched(one), other[..., 0])
    assert not stretched(grey([[7, 7]])).any()
    found, wanted = np.array([0.0, 100, 200]), np.array([50.0, 100, 150])
    assert np.allclose(aligned(found, wanted), wanted)


def test_a_true_picture_obeys_its_own_maps() -> None:
    """With the world's judge as annotator: near the best, and a stranger's picture far from it."""
    views = [render(2, index) for index in range(4)]
    near = {"depth_rmse": 20, "normal_angle": 12, "segmentation_miou": 0.9}
    for name, annotator in (
        ("depth_rmse", "depth"),
        ("normal_angle", "normal"),
        ("segmentation_miou", "segmentation"),
    ):
        own, strange = (registry.get("metrics", f"{name}(annotator='shapes_{annotator}')") for _ in range(2))
        for view, other in zip(views, [*views[1:], views[0]], strict=True):
            own.update(view.image, view.control(annotator), "")
            strange.update(other.image, view.control(annotator), "")
        good, bad = (next(iter(metric.compute().values())) for metric in (own, strange))
        better = good > bad if own.higher_is_better else good < bad
        assert better and ((good > near[name]) if own.higher_is_better else (good < near[name])), (
            name,
            good,
            bad,
        )


def test_angles() -> None:
    toward, right, nothing = (128, 128, 255), (255, 128, 128), (128, 128, 128)
    wanted = np.array([[toward, toward, toward, nothing]], np.uint8)
    found = np.array([[toward, right, nothing, toward]], np.uint8)
    assert angles_between(found, wanted) == pytest.approx([0, 90, 90], abs=0.5)


def test_miou_pools_pixels_and_knows_the_classes_of_either_side() -> None:
    """Condition: A A B B; picture: A C B B, by an annotator that copies the picture."""
    a, b, c, black = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
    metric = registry.get("metrics", "segmentation_miou(annotator='tests.evaluation.copying:Copied')")
    metric.update(np.array([[a, c, b, b]], np.uint8), np.array([[a, a, b, b]], np.uint8), "")
    told = metric.compute()
    assert told["segmentation_miou"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert told["segmentation_miou_asked"] == pytest.approx((1 / 2 + 1) / 2)
    assert told["segmentation_miou_accuracy"] == pytest.approx(3 / 4)
    metric.update(np.array([[a, a, a, a]], np.uint8), np.array([[a, black, black, black]], np.uint8), "")
    assert metric.compute()["segmentation_miou"] == pytest.approx((2 / 3 + 1 + 0) / 3)  # black does not count
    nothing = registry.get("metrics", "segmentation_miou(annotator='tests.evaluation.copying:Copied')")
    nothing.update(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8), "")
    assert nothing.count == 0 and np.isnan(nothing.compute()["segmentation_miou"])


def body(x: float, y: float, size: float = 100) -> np.ndarray:
    places = np.random.default_rng(1).uniform(0, size, (18, 2)) + np.array([x, y])
    return np.concatenate([places, np.ones((18, 1))], axis=1)


def test_oks_of_one_keypoint_moved() -> None:
    true = body(0, 0)
    assert oks(true, true) == 1
    made = true.copy()
    made[4, 0] += 5
    span = np.ptp(true[:, :2], axis=0)
    like = np.exp(-25 / (2 * AREA * span[0] * span[1] * (2 * SIGMAS[4]) ** 2))
    assert oks(made, true) == pytest.approx((17 + like) / 18)
    made[4, 2] = 0  # not seen: counts 0
    assert oks(made, true) == pytest.approx(17 / 18)
    true[4, 2] = 0  # not asked for
    assert oks(made, true) == 1
    assert within(made, body(6, 0), 5.9).sum() == 0


def test_people_are_matched_by_likeness() -> None:
    true = [body(0, 0), body(200, 0), body(400, 0)]
    made = [body(201, 0), body(2, 0)]
    pairs = matched(made, true)
    assert [pair[0] is None for pair in pairs] == [False, False, True]
    assert pairs[0][0] is made[1] and pairs[1][0] is made[0]


def test_a_mannequin_is_found_where_it_stands() -> None:
    with_one = [view for view in (render(2, index) for index in range(12)) if view.keypoints is not None][:3]
    without = next(view for view in (render(2, index) for index in range(12)) if view.keypoints is None)
    for name in ("pose_pck", "pose_oks"):
        own, lost = (registry.get("metrics", f"{name}(annotator='shapes_openpose')") for _ in range(2))
        for view in with_one:
            own.update(view.image, view.image, "", view.image)
            lost.update(without.image, view.image, "", view.image)
        own.update(without.image, without.image, "", without.image)
        assert own.compute()[name] == 1 and lost.compute()[name] < 0.2
        assert own.count == 3 and np.isnan(own.scores()[-1])
    with pytest.raises(SettingError, match="finds no people"):
        registry.get("metrics", "pose_pck(annotator='canny')")
    with pytest.raises(SettingError, match="near"):
        registry.get("metrics", "pose_pck(annotator='shapes_openpose', near=0)")


def test_ms_ssim() -> None:
    x, y = (torch.from_numpy(RNG.random((1, 1, 192, 192))) for _ in range(2))
    assert ms_ssim(x, x) == pytest.approx(1) and ms_ssim(x, x, mirrored=True) == pytest.approx(1)
    assert ms_ssim(x, y) == pytest.approx(ms_ssim(y, x)) and ms_ssim(x, y) < 0.2
    assert [fitting(side) for side in (11, 22, 128, 175, 176, 512)] == [1, 2, 4, 4, 5, 5]


def test_maps_of_pictures_are_compared() -> None:
    view, other = render(2, 0, 192), render(2, 1, 192)
    scores = []
    for picture in (view.image, other.image):
        metric = MSSSIM()
        metric.update(picture, registry.get("conditions", "softedge_gradient")(view.image), "")
        scores.append(metric.compute())
    assert scores[0]["msssim"] == pytest.approx(1) and scores[0]["msssim_scales"] == 5
    assert scores[1]["msssim"] < 0.7


def test_an_interval_covers_the_mean_as_often_as_it_says() -> None:
    metric = registry.get("metrics", "edge_f1")
    inside = 0
    for seed in range(60):
        metric._rows = [np.array([x, x]) for x in np.random.default_rng(seed).normal(0.5, 0.1, 40)]
        low, high = metric.interval(0.9)
        inside += low <= 0.5 <= high
    assert 45 <= inside <= 60

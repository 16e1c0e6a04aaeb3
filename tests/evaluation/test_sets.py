"""Distances between sets against values known in closed form, and streaming against numpy."""

import numpy as np
import pytest

from controlnet.errors import CheckpointError, MissingWeights, SettingError
from controlnet.evaluation._frechet import Moments, frechet_distance
from controlnet.evaluation._kernel import discrepancy, kernel
from controlnet.evaluation.metrics.fid import FID
from controlnet.evaluation.metrics.fid_shapes import FIDShapes
from controlnet.evaluation.metrics.kid import KID
from controlnet.evaluation.metrics.kid_shapes import KIDShapes
from controlnet.shapes import render

RNG = np.random.default_rng(0)


def rows(count: int, width: int = 6) -> np.ndarray:
    return RNG.normal(size=(count, width)) @ RNG.normal(size=(width, width)) + 1000


def test_streamed_moments_are_numpys_also_far_from_zero() -> None:
    some, moments = rows(50), Moments()
    for row in some:
        moments.take(row)
    assert np.allclose(moments.mean, some.mean(axis=0), rtol=1e-14)
    assert np.allclose(moments.covariance, np.cov(some, rowvar=False), rtol=1e-9)


def test_frechet_distance_of_gaussians_in_closed_form() -> None:
    one, four = np.eye(3), 4 * np.eye(3)
    assert frechet_distance(np.zeros(3), one, np.full(3, 2.0), one) == pytest.approx(12)
    assert frechet_distance(np.zeros(3), one, np.zeros(3), four) == pytest.approx(3)  # 3 (1 + 4 − 2·2)
    # Covariances that do not commute: tr (AB)^½ from the eigenvalues of AB.
    a, b = np.diag([1.0, 9.0]), np.array([[2.0, 1.0], [1.0, 2.0]])
    roots = np.sqrt(np.linalg.eigvals(a @ b)).sum().real
    assert frechet_distance(np.zeros(2), a, np.zeros(2), b) == pytest.approx(10 + 4 - 2 * roots)


def test_frechet_distance_of_singular_covariances_is_real() -> None:
    few = rows(4, 16)
    mean, covariance = few.mean(axis=0), np.cov(few, rowvar=False)
    assert frechet_distance(mean, covariance, mean, covariance) == pytest.approx(
        0, abs=1e-6 * np.trace(covariance)
    )


def test_the_discrepancy_has_no_bias() -> None:
    found = []
    for _ in range(400):
        a, b = RNG.normal(size=(5, 2)), RNG.normal(size=(7, 2))
        found.append(discrepancy(kernel(a, a), kernel(b, b), kernel(a, b)))
    assert abs(np.mean(found)) < 4 * np.std(found) / 20


def test_the_discrepancy_counts_pictures_as_often_as_they_are_drawn() -> None:
    a, b = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3))
    matrices = kernel(a, a), kernel(b, b), kernel(a, b)
    ones = discrepancy(*matrices, np.ones(4), np.ones(3))
    assert discrepancy(*matrices) == pytest.approx(ones)
    drawn = discrepancy(*matrices, np.array([1.0, 1, 2, 0]), np.ones(3))
    pairs = [matrices[0][i, j] * w for i, j, w in ((0, 1, 2), (0, 2, 4), (1, 2, 4))]
    true = (matrices[1].sum() - np.trace(matrices[1])) / 6
    cross = (np.array([1.0, 1, 2, 0]) @ matrices[2] @ np.ones(3)) / 12
    assert drawn == pytest.approx(sum(pairs) / 10 + true - 2 * cross)


def filled(metric: FIDShapes | KIDShapes, made: range, true: range) -> FIDShapes | KIDShapes:
    for i, j in zip(made, true, strict=True):
        picture = render(2, i).image
        metric.update(picture, picture, "", render(2, j).image)
    return metric


@pytest.mark.parametrize("kind", [FIDShapes, KIDShapes])
def test_the_same_pictures_are_nearer_than_noise(kind: type[FIDShapes]) -> None:
    name = "fid_shapes" if kind is FIDShapes else "kid_shapes"
    alike = filled(kind(), range(12), range(12, 24))
    noise = kind()
    for index in range(12, 24):
        picture = RNG.integers(0, 256, (128, 128, 3), dtype=np.uint8)
        noise.update(picture, picture, "", render(2, index).image)
    near, far = alike.compute()[name], noise.compute()[name]
    assert near < far / 2
    low, high = alike.interval() or (1, 0)
    assert low < near < high and alike.count == 12 and alike.compute()[f"{name}_true_pictures"] == 12


def test_a_true_picture_counts_once_for_all_seeds() -> None:
    metric = filled(FIDShapes(), range(4), range(4))
    for index in range(4):
        picture = render(2, index + 9).image
        metric.update(picture, picture, "", render(2, index).image)
    assert metric.count == 8 and metric.true_count == 4


def test_one_picture_has_no_distance() -> None:
    assert np.isnan(filled(FIDShapes(), range(1), range(1)).compute()["fid_shapes"])
    assert np.isnan(filled(KIDShapes(), range(1), range(1)).compute()["kid_shapes"])


def test_subsets_are_drawn_where_there_are_more() -> None:
    metric = filled(KIDShapes(subsets=20, size=5), range(12), range(12, 24))
    found = metric.compute()
    assert found["kid_shapes_std"] > 0
    assert filled(KIDShapes(), range(12), range(12, 24)).compute()["kid_shapes_std"] == 0


def test_inceptions_weights_are_asked_for_in_one_line() -> None:
    picture = render(2, 0).image
    for metric in (FID(), KID()):
        with pytest.raises(
            MissingWeights, match=r"pt_inception-2015-12-05-6726825d\.pth .*controlnet weights fetch"
        ):
            metric.update(picture, picture, "", picture)


def test_settings_that_cannot_be_meant_are_refused(tmp_path) -> None:
    with pytest.raises(SettingError, match="clean or tensorflow"):
        FID(resize="pil")
    with pytest.raises(SettingError, match="no file"):
        FID(weights=str(tmp_path / "none.pth"))
    with pytest.raises(SettingError, match="subsets"):
        KIDShapes(size=1)
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="junk"):
        FID(weights=str(tmp_path / "junk.pth"))

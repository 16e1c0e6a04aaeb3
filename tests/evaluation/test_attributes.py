"""Attribute accuracy, as the embedded judge reads rendered pictures."""

import math

import numpy as np
import pytest

from controlnet.evaluation.metrics.attributes import Attributes
from controlnet.shapes.captions import full_caption
from controlnet.shapes.judge import quality
from controlnet.shapes.render import View, render


@pytest.fixture(scope="module")
def views() -> list[View]:
    return [render(2, index) for index in range(24)]


def test_true_pictures_score_high_and_strangers_low(views: list[View]) -> None:
    own, strange = Attributes(), Attributes()
    for view, other in zip(views, [*views[1:], views[0]], strict=True):
        own.update(view.image, view.image, full_caption(view.scene))
        strange.update(other.image, view.image, full_caption(view.scene))
    found, chance = own.compute(), strange.compute()
    assert found["attributes"] > 0.93 and chance["attributes"] < 0.4
    assert found["attributes"] == pytest.approx(quality()["attribute_accuracy"], abs=0.06)
    assert found["attributes_on_truth"] == quality()["attribute_accuracy"]
    parts = {f"attributes_{part}" for part in ("solids", "floor", "sky", "clothes")}
    assert set(found) == {"attributes", "attributes_on_truth"} | parts
    assert all(found[part] > 0.9 for part in parts)


def test_only_what_is_named_is_told(views: list[View]) -> None:
    metric = Attributes()
    metric.update(views[0].image, views[0].image, f"{views[0].scene.floor} floor")
    assert metric.compute() == {
        "attributes": 1.0,
        "attributes_floor": 1.0,
        "attributes_on_truth": quality()["attribute_accuracy"],
    }


def test_attributes_are_pooled_over_captions(views: list[View]) -> None:
    metric = Attributes()
    scene = views[0].scene
    wrong = next(name for name in ("night", "clear") if name != scene.sky)
    metric.update(views[0].image, views[0].image, f"{scene.floor} floor")
    metric.update(views[0].image, views[0].image, f"{scene.floor} floor, {wrong} sky, a picture of nothing")
    assert metric.compute()["attributes"] == pytest.approx(2 / 3)


def test_captions_that_name_nothing_have_no_score() -> None:
    metric = Attributes()
    noise = np.zeros((64, 64, 3), np.uint8)
    metric.update(noise, noise, "a high-quality, detailed, and professional image")
    assert math.isnan(metric.compute()["attributes"])

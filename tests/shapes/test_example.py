"""A scene as a training example: the renderer's map where it has one, else the annotator's."""

import pickle

import numpy as np
import pytest

from controlnet.conditions import annotate
from controlnet.errors import UnknownName
from controlnet.shapes import render
from controlnet.shapes.controls import draw_control
from controlnet.shapes.example import TRUE_MAPS, Scenes

SEED, INDEX, SIZE = 5, 3, 32


@pytest.mark.parametrize("name", TRUE_MAPS)
def test_the_renderers_own_maps_come_from_the_renderer(name: str) -> None:
    scenes, view = Scenes(SEED, SIZE, name), render(SEED, INDEX, SIZE)
    picture, control, caption = scenes(INDEX)
    assert np.array_equal(picture, view.image)
    assert np.array_equal(control, view.control(name))
    assert caption == view.caption
    assert scenes.provenance()["annotated"] is False
    assert scenes.label_map is (name in ("segmentation", "scribble"))


def test_the_list_of_true_maps_is_the_renderers() -> None:
    with pytest.raises(UnknownName, match=f"it knows {', '.join(TRUE_MAPS)}$"):
        draw_control(render(SEED, INDEX, SIZE), "canny")


def test_other_maps_are_annotated() -> None:
    scenes = Scenes(SEED, SIZE, "canny(low=10, high=30)")
    picture, control, _ = scenes(INDEX)
    assert np.array_equal(control, annotate("canny(low=10, high=30)", picture))
    assert control.any()
    assert scenes.provenance() == {
        "generator": "shapes",
        "seed": SEED,
        "size": SIZE,
        "condition": "canny(low=10, high=30)",
        "annotated": True,
        "label_map": True,
    }


def test_an_unknown_condition_is_refused_before_anything_is_rendered() -> None:
    with pytest.raises(UnknownName, match="canny"):
        Scenes(SEED, SIZE, "cany")


def test_another_process_draws_the_same() -> None:
    scenes = Scenes(SEED, SIZE, "canny")
    for here, there in zip(scenes(INDEX), pickle.loads(pickle.dumps(scenes))(INDEX), strict=True):
        assert np.array_equal(here, there)

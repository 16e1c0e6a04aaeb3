"""The embedded world's conditions: near the true maps, in their conventions, at any size, and honest."""

import cv2
import numpy as np
import pytest

from controlnet import condition
from controlnet.registry import find
from controlnet.shapes.drawing import creases, outlines
from controlnet.shapes.palette import CLASS_COLOURS, CLASSES
from controlnet.shapes.render import View

NAMES = ("depth", "normal", "segmentation", "openpose", "lineart", "scribble")


def maps(name: str, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Return what the judge sees and the truth, as floats."""
    found, true = condition(f"shapes_{name}")(view.image), view.control(name)
    assert found.shape == true.shape and found.dtype == true.dtype == np.uint8
    return found.astype(float), true.astype(float)


def test_depth_is_near_the_truth(views: list[View]) -> None:
    pairs = [maps("depth", view) for view in views]
    errors = [np.sqrt(np.square((found - true) / 255).mean()) for found, true in pairs]
    assert np.mean(errors) < 0.05  # .035 over 100 scenes; a map turned upside down has above .4
    assert all(np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.9 for found, true in pairs)
    assert all(found.max() == 255 for found, _ in pairs)


def test_normals_are_near_the_truth_axis_by_axis(views: list[View]) -> None:
    for view in views:
        found, true = maps("normal", view)
        ground = view.classes == CLASSES.index("floor")
        assert np.median(np.abs(found - true)[ground]) < 12  # of 255; the floor's green is far from its grey
        assert np.median(np.abs(found - true)[~ground]) < 20


def test_classes_are_the_true_ones_in_their_colours(views: list[View]) -> None:
    same = []
    for view in views:
        found, true = maps("segmentation", view)
        same.append((found == true).all(axis=-1).mean())
        assert {tuple(c) for c in found.reshape(-1, 3)} <= {tuple(map(float, c)) for c in CLASS_COLOURS}
    assert np.mean(same) > 0.97


def test_a_pose_is_drawn_where_there_is_a_mannequin_and_only_there(views: list[View]) -> None:
    for view in views:
        found, true = maps("openpose", view)
        if view.keypoints is None or view.keypoints[:, 2].sum() == 0:
            assert not found.any()
        else:
            drawn, wanted = found.any(axis=-1), true.any(axis=-1)
            assert (drawn & wanted).sum() / (drawn | wanted).sum() > 0.4


@pytest.mark.parametrize(("name", "least"), [("lineart", 0.5), ("scribble", 0.75)])
def test_drawings_run_along_the_true_lines(views: list[View], name: str, least: float) -> None:
    overlaps = []
    for view in views:
        drawn, wanted = (pixels[..., 0] > 127 for pixels in maps(name, view))
        overlaps.append((drawn & wanted).sum() / (drawn | wanted).sum())
    assert np.mean(overlaps) > least


def test_line_art_has_the_creases_that_scribbles_leave_out(views: list[View]) -> None:
    cubes = [view for view in views if (view.classes == CLASSES.index("cube")).sum() > 200]
    assert cubes
    for view in cubes:
        inside = creases(view) & ~outlines(view)
        assert inside.any()
        assert view.control("lineart")[inside].min() > 127
        assert (view.control("lineart")[..., 0] > 127).sum() < (view.control("scribble") > 127)[..., 0].sum()


def test_shadows_are_not_drawn(views: list[View]) -> None:
    """The floor has nothing on it but things: away from them and from the horizon there is no line."""
    for view in views:
        floor = (view.classes == CLASSES.index("floor")).astype(np.uint8)
        bare = cv2.erode(floor, np.ones((9, 9), np.uint8), borderValue=1).astype(bool)
        assert not view.control("lineart")[bare].any() and not view.control("scribble")[bare].any()


@pytest.mark.parametrize("name", NAMES)
def test_any_size_is_taken(views: list[View], name: str) -> None:
    picture = np.pad(views[0].image, ((0, 0), (0, 75), (0, 0)), mode="edge")
    for some in (picture, picture[:50, :31], picture.repeat(3, axis=0).repeat(3, axis=1)):
        assert condition(f"shapes_{name}")(some).shape == some.shape
    wide = condition(f"shapes_{name}(resolution=None)")
    assert wide(picture).shape == picture.shape


@pytest.mark.parametrize("name", NAMES)
def test_they_say_for_what_they_are_meant(name: str) -> None:
    kind = find("conditions", f"shapes_{name}")
    assert "embedded world" in kind.title and "embedded world only" in " ".join((kind.__doc__ or "").split())
    assert kind.family == "embedded world" and not kind.weights

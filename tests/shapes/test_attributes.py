"""Attributes: what a picture shows, read from true maps, so that only this is tested and not the judge."""

import math
from dataclasses import replace

import numpy as np

from controlnet.shapes.attributes import Attribute, missed, share_shown, shown, wanted
from controlnet.shapes.captions import full_caption
from controlnet.shapes.judge import Reading
from controlnet.shapes.palette import CLASSES, COLOURS
from controlnet.shapes.render import View


def true_reading(view: View) -> Reading:
    """See a picture without error."""
    maps = {"depth": view.depth, "normals": view.normals, "classes": view.classes, "tints": view.tints}
    return Reading(**maps, keypoints=view.keypoints, floor=view.scene.floor, sky=view.scene.sky)


def drawn(*patches: tuple[str, str, slice, slice]) -> Reading:
    """Draw patches of a class and a colour on a floor of 128×128 pixels."""
    classes = np.full((128, 128), CLASSES.index("floor"), np.uint8)
    tints = np.zeros((128, 128), np.uint8)
    for name, colour, rows, columns in patches:
        classes[rows, columns] = CLASSES.index(name)
        tints[rows, columns] = 1 + list(COLOURS).index(colour) if colour else 0
    depth = np.ones((128, 128), np.float32)
    return Reading(depth, np.zeros((128, 128, 3), np.float32), classes, tints, None, "sand", "clear")


def test_true_pictures_show_what_their_captions_say(views: list[View]) -> None:
    share = share_shown((wanted(full_caption(view.scene)), true_reading(view)) for view in views)
    assert share > 0.97


def test_other_pictures_do_not(views: list[View]) -> None:
    shifted = [*views[1:], views[0]]
    share = share_shown(
        (wanted(full_caption(a.scene)), true_reading(b)) for a, b in zip(views, shifted, strict=True)
    )
    assert share < 0.35


def test_a_solid_needs_its_colour() -> None:
    reading = drawn(("cube", "red", slice(0, 20), slice(0, 20)))
    assert shown(reading)[Attribute("cube", "red")] == shown(reading)[Attribute("cube")] == 1
    assert missed(wanted("a red cube"), reading) == []
    assert missed(wanted("a blue cube and a red cone"), reading) == [("cube", "blue"), ("cone", "red")]


def test_specks_are_nothing() -> None:
    reading = drawn(("cube", "red", slice(0, 4), slice(0, 6)), ("cone", "red", slice(60, 65), slice(0, 5)))
    assert not shown(reading)[Attribute("cube", "red")] and shown(reading)[Attribute("cone", "red")]


def test_two_of_a_kind_apart_and_touching() -> None:
    apart = drawn(("cube", "red", slice(0, 20), slice(0, 20)), ("cube", "blue", slice(0, 20), slice(50, 70)))
    touching = drawn(
        ("cube", "red", slice(0, 20), slice(0, 20)), ("cube", "blue", slice(0, 20), slice(20, 40))
    )
    for reading in (apart, touching):
        assert not missed(wanted("a red cube and a blue cube"), reading)
    same = drawn(("cube", "red", slice(0, 20), slice(0, 20)))
    assert missed(wanted("a red cube and a red cube"), same) == [("cube", "red")]


def test_a_few_wrong_pixels_make_no_second_solid() -> None:
    reading = drawn(("cube", "red", slice(0, 20), slice(0, 20)), ("cube", "blue", slice(0, 4), slice(0, 20)))
    assert missed(wanted("a blue cube"), reading) == [("cube", "blue")]


def test_the_shirt_is_above_the_trousers() -> None:
    person = (
        ("person", "red", slice(30, 60), slice(40, 60)),
        ("person", "green", slice(60, 100), slice(40, 60)),
    )
    reading = drawn(("person", "", slice(10, 30), slice(40, 60)), *person)
    assert not missed(wanted("a person in a red shirt and green trousers"), reading)
    assert len(missed(wanted("a person in a green shirt and red trousers"), reading)) == 2
    assert not missed(wanted("a person"), reading)
    assert missed(wanted("a person"), drawn()) == [("person", "")]


def test_floor_and_sky_need_to_be_in_the_picture() -> None:
    reading = drawn()
    assert missed(wanted("sand floor, clear sky"), reading) == [("sky", "clear")]
    sky = replace(reading, classes=np.zeros_like(reading.classes))
    assert missed(wanted("sand floor, clear sky"), sky) == [("floor", "sand")]


def test_nothing_asked_is_not_a_number() -> None:
    assert math.isnan(share_shown([([], drawn())]))

"""The dialect's names and numbers, brought to those of the library."""

import numpy as np
import pytest

import controlnet as cn
from controlnet.api.webui.building import around
from controlnet.api.webui.names import annotator, modules, pick, sampler
from controlnet.errors import SettingError, UnknownName


def test_names_are_found_exactly_then_in_lower_case_then_as_the_shortest_that_holds_them():
    known = ["depth_midas", "depth", "Depth", "my depth model"]
    assert pick("f", "n", "depth", known) == "depth" and pick("f", "n", "DEPTH_MIDAS", known) == "depth_midas"
    assert (
        pick("f", "n", "midas", known) == "depth_midas" and pick("f", "n", "model", known) == "my depth model"
    )
    with pytest.raises(UnknownName, match="f: "):
        pick("f", "n", "canny", known)


@pytest.mark.parametrize("name", modules())
def test_every_preprocessor_has_a_text_form_that_can_be_read(name):
    fields = ("processor_res", "threshold_a", "threshold_b")
    for numbers in ((-1, -1),):
        cn.condition(annotator(name, -1, numbers, fields))
        cn.condition(annotator(name, 512, numbers, fields))


def test_numbers_are_brought_to_their_settings():
    fields = ("processor_res", "threshold_a", "threshold_b")
    assert annotator("canny", 512, (64, 64), fields) == "canny(resolution=512, low=64, high=64)"
    assert annotator("softedge_hedsafe", -1, (64, 64), fields) == "softedge_hed(safe=True)"
    with pytest.raises(SettingError, match="threshold_a"):
        annotator("canny", -1, (0, 64), fields)


def test_samplers_go_by_name_and_scheduler():
    assert sampler("DPM++ 2M", "Karras") == sampler("DPM++ 2M Karras", "automatic") == "dpm++2m karras"
    assert sampler("DPM++ 2M Karras", "karras") == "dpm++2m karras"
    assert sampler("Euler a", "Automatic") == "euler a"


def test_the_area_around_a_mask_has_the_pictures_shape_and_stays_inside():
    mask = np.zeros((100, 200, 3), np.uint8)
    mask[10:20, 5:15] = 255
    assert around(mask, 5, 1.0) == (0, 5, 20, 25)
    assert around(mask, 0, 2.0) == (0, 10, 20, 20)
    assert around(np.full((100, 200, 3), 255, np.uint8), 50, 1.0) == (0, 0, 200, 100)

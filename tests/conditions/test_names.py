"""The names by which the field calls its preprocessors: a web-UI user writes an id or its label."""

import pytest

from controlnet.conditions import condition

NAMES = {
    "hed": "softedge_hed",
    "hed_safe": "softedge_hed(safe=True)",
    "softedge_hedsafe": "softedge_hed(safe=True)",
    "pidinet": "softedge_pidinet",
    "pidinet_safe": "softedge_pidinet(safe=True)",
    "softedge_pidisafe": "softedge_pidinet(safe=True)",
    "pidinet_scribble": "scribble_pidinet",
    "depth": "depth_midas",
    "depth_anything": "depth_anything_v2(version=1)",
    "normal_map": "normal_midas",
    "lineart": "lineart_realistic",
    "dw_openpose": "dw_openpose_full",
    "vitpose": "openpose_vitpose",
    "oneformer_ade20k": "segmentation_oneformer_ade20k",
    "seg_ofade20k": "segmentation_oneformer_ade20k",
    "oneformer_coco": "segmentation_oneformer_coco",
    "seg_ofcoco": "segmentation_oneformer_coco",
    "segmentation": "segmentation_upernet",
    "seg_ufade20k": "segmentation_upernet",
    "tile_resample": "tile",
    "t2ia_color_grid": "color_grid",
    "color": "color_grid",
    "blur_gaussian": "blur",
    "recolor_luminance": "recolor",
    "recolor_intensity": "recolor(by='intensity')",
}
OWN = [
    *("canny", "softedge_hed", "softedge_pidinet", "softedge_gradient"),
    *("scribble", "scribble_hed", "scribble_pidinet", "scribble_xdog"),
    *("mlsd", "lines", "lineart_standard", "lineart_realistic", "lineart_coarse"),
    *("lineart_anime", "lineart_anime_denoise"),
    *("depth_midas", "depth_leres", "depth_zoe", "depth_anything_v2"),
    *("normal_bae", "normal_midas", "normal_from_depth"),
    *("openpose", "dw_openpose_full", "openpose_vitpose", "segmentation_upernet"),
    *("shuffle", "tile", "inpaint", "color_grid", "invert", "threshold", "none"),
    *("shapes_depth", "shapes_normal", "shapes_segmentation", "shapes_openpose"),
    *("shapes_lineart", "shapes_scribble"),
]
POSES = ["openpose_face", "openpose_faceonly", "openpose_hand", "openpose_full"]


@pytest.mark.parametrize(("name", "wanted"), NAMES.items())
def test_names_of_the_field(name: str, wanted: str) -> None:
    assert str(condition(name)) == wanted


@pytest.mark.parametrize("name", OWN)
def test_names_that_are_files(name: str) -> None:
    assert condition(name).name() == name


def test_the_openpose_family_is_one_condition_by_four_settings() -> None:
    found = {condition(name) for name in POSES}
    assert len(found) == 4 and {made.name() for made in found} == {"openpose"}

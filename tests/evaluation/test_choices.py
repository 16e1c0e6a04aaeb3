"""What is chosen for an evaluation: the prompts of each setting, and the metric that suits a condition."""

from controlnet.evaluation.choice import adherence
from controlnet.evaluation.prompts import INSUFFICIENT, prompt_of
from controlnet.registry import parse


def test_prompt_settings() -> None:
    captions = ["a red cube", "a red cube on sand", "a blue cone", "a red torus"]
    told = [
        prompt_of(name, 0, 4, captions.__getitem__)
        for name in ("none", "insufficient", "perfect", "conflicting")
    ]
    assert told == ["", INSUFFICIENT, "a red cube", "a blue cone"]
    assert prompt_of("conflicting", 0, 1, captions.__getitem__) == "a red cube"
    assert prompt_of("conflicting", 3, 4, captions.__getitem__) == "a blue cone"  # around the end


def test_adherence_is_measured_as_the_condition_asks() -> None:
    assert adherence("canny") == "edge_f1" and adherence("canny(low=50)") == "edge_f1(low=50, high=200)"
    kinds = {
        **{"softedge_gradient": "msssim", "lineart_standard": "msssim", "lines": "edge_f1"},
        **{"depth_midas": "depth_rmse", "normal_bae": "normal_angle", "openpose": "pose_pck"},
        **{"segmentation_upernet": "segmentation_miou", "shapes_depth": "depth_rmse"},
        **{"shapes_openpose": "pose_pck", "shapes_normal": "normal_angle", "scribble_xdog": "edge_f1"},
    }
    for spec, metric in kinds.items():
        name, settings = parse(adherence(spec))
        assert (name, settings["annotator"]) == (metric, spec)

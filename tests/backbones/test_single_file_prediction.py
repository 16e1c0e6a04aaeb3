"""Whether a base in one file predicts ε or v: asked of SD 2.x, marked in SDXL."""

import pytest
import torch

from controlnet.backbones import load_base
from controlnet.errors import SettingError
from tests.backbones.original import write_file


def gives_noise_back(tensors):
    """Change a U-Net so that it returns its input, as a network that predicts ε does at the last timestep."""
    found = dict(tensors)
    unet = "model.diffusion_model."
    first = torch.zeros_like(found[f"{unet}input_blocks.0.0.weight"])
    last = torch.zeros_like(found[f"{unet}out.2.weight"])
    for channel in range(4):  # silu(a) − silu(−a) = a
        for sign, row in ((1, 2 * channel), (-1, 2 * channel + 1)):
            first[row, channel, 1, 1] = last[channel, row, 1, 1] = sign
    found[f"{unet}input_blocks.0.0.weight"], found[f"{unet}out.2.weight"] = first, last
    resnet = f"{unet}output_blocks.7.0"
    skip = torch.zeros_like(found[f"{resnet}.skip_connection.weight"])
    skip[:, -32:, 0, 0] = torch.eye(32)  # of what is concatenated, the skip from behind the first convolution
    found[f"{resnet}.skip_connection.weight"] = skip
    for key in (f"{resnet}.out_layers.3.weight", f"{resnet}.out_layers.3.bias"):
        found[key] = torch.zeros_like(found[key])
    found = {key: t for key, t in found.items() if "output_blocks.7.1." not in key} | {
        key: torch.zeros_like(t) if ".proj_out." in key else t
        for key, t in found.items()
        if "output_blocks.7.1." in key
    }
    for key, value in (("out.0.weight", 1.0), ("out.0.bias", 0.0), ("input_blocks.0.0.bias", 0.0)):
        found[unet + key] = torch.full_like(found[unet + key], value)
    return found


def test_sd2_says_what_it_predicts_when_it_is_asked(bases, files, tmp_path):
    base = load_base(files["sd2"])  # random: it gives no noise back
    assert base.prediction_type == "v_prediction" and base.sample_size == 768
    path = write_file(tmp_path / "e.safetensors", gives_noise_back(bases["sd2"][1]))
    assert load_base(path).prediction_type == "epsilon" and load_base(path).sample_size == 512
    told = load_base(files["sd2"], prediction_type="epsilon")
    assert told.prediction_type == "epsilon" and told.sample_size == 512
    assert load_base(bases["sd1"][0], prediction_type="v_prediction").prediction_type == "v_prediction"
    with pytest.raises(SettingError, match="v_predicton"):
        load_base(files["sd2"], prediction_type="v_predicton")


def test_marks_say_what_sdxl_predicts(bases, files, tmp_path):
    assert load_base(files["sdxl"]).prediction_type == "epsilon"
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    base = load_base(write_file(tmp_path / "v.safetensors", bases["sdxl"][1] | marks))
    assert base.prediction_type == "v_prediction" and base.objective.alpha[-1] < 1e-3

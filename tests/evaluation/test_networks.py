"""The layouts of the published weight files that the metrics' networks load, strictly."""

import numpy as np
import pytest
import torch

from controlnet.conditions._networks.load import filled
from controlnet.errors import CheckpointError
from controlnet.evaluation._networks import inception, lpips
from controlnet.evaluation._networks.clip import LinearPredictor, Predictor
from controlnet.evaluation._networks.lpips import AlexHeads, AlexTrunk, VGGHeads, VGGTrunk, distance, embed
from controlnet.evaluation.metrics.fid import FID

# What is known of pt_inception-2015-12-05-6726825d.pth: names and shapes at places where variants differ.
KNOWN = {
    "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
    "Conv2d_4a_3x3.bn.running_var": (192,),
    "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
    "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
    "Mixed_6a.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
    "Mixed_6b.branch7x7dbl_4.conv.weight": (128, 128, 7, 1),
    "Mixed_6b.branch7x7dbl_5.conv.weight": (192, 128, 1, 7),
    "Mixed_6e.branch7x7_2.conv.weight": (192, 192, 1, 7),
    "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
    "Mixed_7b.branch3x3_2a.conv.weight": (384, 384, 1, 3),
    "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
    "fc.weight": (1008, 2048),
}


def test_inception_has_the_published_layout() -> None:
    with torch.device("meta"):
        network = inception.Inception()
    state = network.state_dict()
    assert {key: tuple(state[key].shape) for key in KNOWN} == KNOWN
    assert len([key for key in state if key.endswith("conv.weight")]) == 94
    own = sum(value.numel() for key, value in network.named_parameters() if not key.startswith("fc."))
    assert own == 21_785_568  # as many as torchvision's Inception v3 has without its two classifiers


@pytest.mark.parametrize("counted", [True, False])
def test_a_file_with_or_without_counters_loads_and_another_does_not(tmp_path, counted: bool) -> None:
    state = inception.Inception().state_dict()
    kept = {key: value for key, value in state.items() if counted or "num_batches" not in key}
    torch.save(kept, tmp_path / "inception.pth")
    FID(weights=str(tmp_path / "inception.pth"))
    kept.pop("Mixed_7c.branch1x1.conv.weight")
    torch.save(kept, tmp_path / "lacking.pth")
    with pytest.raises(CheckpointError, match="branch1x1"):
        FID(weights=str(tmp_path / "lacking.pth"))


def test_lpips_trunks_have_the_layout_of_torchvisions_files() -> None:
    alex = {
        0: (64, 3, 11, 11),
        3: (192, 64, 5, 5),
        6: (384, 192, 3, 3),
        8: (256, 384, 3, 3),
        10: (256, 256, 3, 3),
    }
    state = AlexTrunk().state_dict()
    assert {key: tuple(value.shape) for key, value in state.items() if "weight" in key} == {
        f"features.{number}.weight": shape for number, shape in alex.items()
    }
    numbers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    state = VGGTrunk().state_dict()
    assert {key for key in state if "weight" in key} == {f"features.{number}.weight" for number in numbers}
    whole = AlexTrunk().state_dict() | {"classifier.1.weight": torch.zeros(4096, 9216)}
    filled(AlexTrunk(), whole, "alexnet-owt-7be5be79.pth")


def test_lpips_is_zero_for_the_same_and_symmetric() -> None:
    torch.manual_seed(0)
    one, other = (np.random.default_rng(n).integers(0, 256, (64, 64, 3), dtype=np.uint8) for n in (0, 1))
    for trunk, heads in ((AlexTrunk(), AlexHeads()), (VGGTrunk(), VGGHeads())):
        a, b = (embed(trunk, heads, picture) for picture in (one, other))
        assert distance(a, a) == 0 and distance(a, b) == pytest.approx(distance(b, a)) and distance(a, b) > 0
        assert set(heads.state_dict()) == {f"lin{n}.model.1.weight" for n in range(5)}


def test_the_predictors_have_the_published_layouts() -> None:
    shapes = {key: tuple(value.shape) for key, value in Predictor().state_dict().items() if "weight" in key}
    assert shapes == {
        "layers.0.weight": (1024, 768),
        "layers.2.weight": (128, 1024),
        "layers.4.weight": (64, 128),
        "layers.6.weight": (16, 64),
        "layers.7.weight": (1, 16),
    }
    assert {key: tuple(value.shape) for key, value in LinearPredictor().state_dict().items()} == {
        "weight": (1, 768),
        "bias": (1,),
    }


def test_tensorflows_resizing_starts_at_the_corner() -> None:
    picture = np.zeros((2, 299, 3), np.uint8)
    picture[1] = 100
    rows = inception.tensorflow(picture)[0, 0, :, 0]
    assert rows[0] == 0 and rows[150] == 100 and rows[298] == 100  # place 1.99: below the last row's centre
    assert rows[75].item() == pytest.approx(100 * 75 * 2 / 299, abs=1e-3)


def test_heads_and_weights_are_offered_for_the_same_nets() -> None:
    assert set(lpips.TRUNKS) == set(lpips.HEADS) == set(lpips.TRUNK_WEIGHTS) == set(lpips.HEAD_WEIGHTS)

"""What the comparisons with diffusers' pipelines share: inputs, twins of our networks, calls, closeness."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from controlnet.checkpoints import save_controlnet
from controlnet.core.controlnet import ControlNet

PROMPTS = ["a red cube on a sand floor", "a blue cone"]
SEEDS = [7, 8]
STEPS = 6
SCALE = 5.0
CONDITION = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))
PHOTO = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(6))


def awake(net: ControlNet, seed: int) -> ControlNet:
    """Make a fresh ControlNet one that changes the picture, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in (*net.zeros.parameters(), *net.hint.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return net.eval()


def twin(net: ControlNet, folder: Path) -> Any:
    """Build diffusers' ControlNetModel from a ControlNet of ours, by way of a file."""
    from diffusers.models.controlnets.controlnet import ControlNetModel

    save_controlnet(net, folder, format="diffusers")
    return ControlNetModel.from_pretrained(folder)


def generators() -> list[torch.Generator]:
    """Return one generator for each picture."""
    return [torch.Generator().manual_seed(seed) for seed in SEEDS]


def assert_equal_latents(found: Tensor, wanted: Tensor) -> None:
    """Compare to single precision's rounding, and see that there is something to compare."""
    assert wanted.abs().mean() > 0.1
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))

"""How far a control moves the base: the distance of y_c from y, as a share of y."""

from pathlib import Path
from typing import Final

import torch

from controlnet.backbones import Base
from controlnet.checkpoints import load_controlnet
from controlnet.core.controlled import denoise
from controlnet.evaluation.cases import Cases

SCENES: Final = 8


@torch.no_grad()
def distance(base: Base, weights: Path, cases: Cases) -> float:
    """Return ‖y_c − y‖ / ‖y‖ over some scenes under their own prompts, timesteps spread over the schedule.

    It is 0 exactly, not nearly, where the control does nothing yet.
    """
    net = load_controlnet(weights, base).eval()
    some = [cases[index] for index in range(min(SCENES, len(cases)))]
    truth, maps = (
        torch.stack([torch.tensor(pixels).permute(2, 0, 1) / 255 for pixels in pictures])
        for pictures in ([case.truth for case in some], [case.condition for case in some])
    )
    chance = torch.Generator().manual_seed(0)
    latents = base.encode_pixels((truth * 2 - 1).to(base.device, base.dtype)).cpu()
    noise = torch.randn(latents.shape, generator=chance)
    count = base.objective.timesteps
    timestep = ((torch.arange(len(some)) + 0.5) / len(some) * count).long()
    x = base.objective.add_noise(latents.float(), noise, timestep).to(base.device, base.dtype)
    timestep = timestep.to(base.device)
    context = base.encode_prompts([case.caption for case in some])
    y = denoise(base, x, timestep, context)
    moved = denoise(
        base,
        x,
        timestep,
        context,
        net(x, timestep, context, base.as_read(net.settings, maps.to(base.device))),
    )
    return float((moved - y).norm() / y.norm())

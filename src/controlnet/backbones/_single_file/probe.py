"""What a network predicts, ε or v, told by asking it: files of Stable Diffusion 2.x do not say.

At the last timestep x = α·x₀ + σ·ε is noise but for α < 0.07. A network that predicts ε gives x back; one
that predicts v = α·ε − σ·x₀ (Salimans and Ho 2022, arXiv 2202.00512, appendix D) gives hardly any of it.
"""

from __future__ import annotations

from typing import Any, Final

import torch

from controlnet.backbones._base import Base

_SIDE: Final = 16  # of the latents: the smallest that has content in the middle of the network
_LEAST: Final = 0.5  # cosine of x and the prediction; it is near 1 for ε, below 0.2 for v


@torch.no_grad()
def predicts_noise(base: Base) -> bool:
    """Tell whether the base's network gives noise back at the last timestep; one small pass."""
    network: Any = base.network
    shape = (1, network.config.in_channels, _SIDE, _SIDE)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(base.device, base.dtype)
    context = base.encode_prompts("", literal=True)
    last = torch.tensor([base.scheduler_config["num_train_timesteps"] - 1], device=base.device)
    y = base.backbone.denoise(network, x, last, context, None)
    likeness = torch.cosine_similarity(x[:, : y.shape[1]].float().flatten(), y.float().flatten(), dim=0)
    return float(likeness) > _LEAST

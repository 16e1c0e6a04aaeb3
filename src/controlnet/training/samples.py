"""Samples of held-out examples while training: contact sheets to look at, and adherence to measure."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.data.batch import Batch
from controlnet.sampling import Control, sample_latents
from controlnet.training.frozen import Frozen
from controlnet.training.sections import WatchPart


class HeldOutSampler:
    """Samples the same held-out captions and conditions from the same noise every time."""

    def __init__(
        self, base: Base, examples: Batch, frozen: Frozen, plan: WatchPart, seed: int, batch: int
    ) -> None:
        self._base, self.examples, self._plan = base, examples, plan
        self._context = frozen.context(examples.captions, examples.size)
        # Given, and not left to the sampler: the text encoders may have left memory.
        self._empty = frozen.context([""], examples.size)
        self._condition = examples.condition.to(base.device)
        self._seeds = [(seed + number) % 2**63 for number in range(len(examples))]
        self._batch = batch
        self._made: tuple[int, Tensor] | None = None

    @torch.no_grad()
    def draw(self, net: ControlNet | None) -> Tensor:
        """Return samples (B,3,H,W) in [−1,1] on the CPU; None samples the base without control."""
        latents = sample_latents(
            self._base,
            self._context,
            self._empty,
            controls=[] if net is None else [Control(net, self._condition, mode=self._plan.mode)],
            seeds=self._seeds,
            size=(self._condition.shape[-1], self._condition.shape[-2]),
            steps=self._plan.sample_steps,
            guidance_scale=self._plan.guidance_scale,
            batch=self._batch,
        )
        return torch.cat([self._base.decode_latents(latent).float().cpu() for latent in latents.split(1)])

    def at(self, step: int, net: ControlNet) -> Tensor:
        """Return the samples of a step, drawn once for both uses."""
        if self._made is None or self._made[0] != step:
            self._made = step, self.draw(net)
        return self._made[1]


def contact_sheet(examples: Batch, samples: Tensor) -> Image.Image:
    """Return a picture with a column for each example: condition, sample, truth."""
    columns = [
        torch.cat([condition, sample / 2 + 0.5, truth / 2 + 0.5], dim=1)
        for condition, sample, truth in zip(examples.condition, samples, examples.pixels, strict=True)
    ]
    return Image.fromarray(to_array(torch.cat(columns, dim=2)))


def to_array(picture: Float[Tensor, "3 H W"]) -> NDArray[np.uint8]:
    """Return a picture in [0,1] as uint8 (H,W,3)."""
    return (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()

"""Held-out scenes sampled without control and with ControlNets, and scored beside what is possible.

    prompt only   the base alone: what the caption says, somewhere
    ceiling       the true pictures through the autoencoder and back: no sample can keep edges better

Every sampling begins from the same noise, so that what differs between two pictures is the control alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from controlnet.backbones import Base
from controlnet.checkpoints import load_controlnet
from controlnet.core.controlled import denoise
from controlnet.data import Batch
from controlnet.sampling.images import to_pictures
from controlnet.training.adherence import scores_of
from controlnet.training.frozen import Frozen
from controlnet.training.plan import TrainingPlan
from controlnet.training.samples import HeldOutSampler
from controlnet.training.setup import first_examples, make_net
from controlnet.training.source import open_data

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK: Final = 8  # pictures sampled together, between two moves of the progress bar


Score = Callable[[Tensor, Batch], Tensor]
"""Pictures (B,3,H,W) in [−1,1] and their examples to the adherence of each (B,), NaN where there is none."""


@dataclass(frozen=True)
class Scored:
    """Pictures (B,3,H,W) in [−1,1] of the held-out scenes, and the adherence of each (B,)."""

    pictures: Tensor
    adherence: Tensor

    @property
    def mean(self) -> float:
        """Mean adherence, over the scenes that have any to tell."""
        return self._told.mean().item()

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return (self._told.std() / len(self._told) ** 0.5).item()

    @property
    def _told(self) -> Tensor:
        return self.adherence[~self.adherence.isnan()]

    def shown(self) -> "list[Image]":
        """Return the pictures as pictures."""
        return to_pictures(self.pictures)


class Comparison:
    """The held-out scenes of a plan, and what becomes of them."""

    def __init__(self, plan: TrainingPlan, base: Base, score: Score) -> None:
        self._plan, self._base, self._score = plan, base, score
        size = plan.data.size or base.sample_size
        _, held_out = open_data(plan.data, size, remember=False)
        self.examples = first_examples(held_out, len(held_out))
        self._frozen = Frozen(base, size, remember=True)

    def __len__(self) -> int:
        """Count the scenes."""
        return len(self.examples)

    def starts_as_the_base(self) -> bool:
        """Tell whether a fresh ControlNet leaves the base's prediction as it is, bit for bit."""
        net = make_net(self._plan, self._base)
        pixels = self.examples.pixels[:2]
        with torch.no_grad():
            latents = self._frozen.latents(pixels, torch.zeros(1))
            context = self._frozen.context(self.examples.captions[:2])
            maps = self._base.as_read(net.settings, self.examples.condition[:2])
            timestep = torch.full((2,), self._base.objective.timesteps // 2)
            residuals = net(latents, timestep, context, maps)
            controlled = denoise(self._base, latents, timestep, context, residuals)
            return torch.equal(controlled, denoise(self._base, latents, timestep, context))

    def sample(self, source: str | Path | None, advance: Callable[[int], None]) -> Scored:
        """Sample every scene with a ControlNet, by path or shipped name, or without; score the pictures."""
        net = None if source is None else load_controlnet(source, self._base).eval()
        pictures: list[Tensor] = []
        for first in range(0, len(self), CHUNK):
            rows = slice(first, first + CHUNK)
            some = self.examples
            part = Batch(some.pixels[rows], some.condition[rows], some.captions[rows], some.indices[rows])
            sampler = HeldOutSampler(
                self._base,
                part,
                self._frozen,
                self._plan.watch,
                self._plan.seed + first,
                self._plan.optim.batch,
            )
            pictures.append(sampler.draw(net))
            advance(len(part))
        return self._scored(torch.cat(pictures))

    @torch.no_grad()
    def ceiling(self) -> Scored:
        """Bring every true picture through the autoencoder and back."""
        base = self._base
        made = [base.decode_latents(base.encode_pixels(picture)) for picture in self.examples.pixels.split(1)]
        return self._scored(torch.cat(made))

    def _scored(self, pictures: Tensor) -> Scored:
        return Scored(pictures, self._score(pictures, self.examples))


def edge_scores(pictures: Tensor, examples: Batch) -> Tensor:
    """Give each picture's edge F1 by itself, (B,): so that a standard error can be told."""
    return scores_of("edge_f1", pictures, examples)


def closed(value: float, low: float, high: float) -> float | None:
    """Return the share of the way from `low` to `high` that `value` has come; None where there is no way."""
    return (value - low) / (high - low) if high > low else None

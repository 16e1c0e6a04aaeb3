"""What is measured and shown of the held-out examples, each in its own time."""

import time
from functools import cached_property
from pathlib import Path

import torch

from controlnet.files import whole
from controlnet.registry import get
from controlnet.training.adherence import AdherenceMeter
from controlnet.training.folder import RunFolder
from controlnet.training.gain import GainMeter
from controlnet.training.rng import generator
from controlnet.training.samples import HeldOutSampler, contact_sheet
from controlnet.training.setup import first_examples
from controlnet.training.step import Inputs
from controlnet.training.workshop import Workshop


class Instruments:
    """Gain, adherence and previews of a run; each is set up when it is first due."""

    def __init__(self, shop: Workshop, folder: RunFolder) -> None:
        self._shop, self._plan, self._folder = shop, shop.plan.watch, folder
        self.seconds = 0.0
        """How long the last measurement took; 0 where nothing was due."""
        self._steps, self._seed, self._batch = shop.plan.steps, shop.plan.seed, shop.loader.batch_size
        if self._plan.adherence is not None:
            get("metrics", self._plan.adherence)  # a wrong name shall not come out after a thousand steps

    def due(self, step: int) -> bool:
        """Tell whether anything is measured or shown at a step: every process has to know."""
        every = (self._plan.gain_every, self._plan.adherence_every, self._plan.preview_every)
        return any(self._due(step, each) for each in every)

    def measure(self, step: int) -> dict[str, float]:
        """Return what is due at a step, for its line in metrics.jsonl."""
        found: dict[str, float] = {}
        self.seconds = 0.0
        if not self.due(step):
            return found
        began = time.monotonic()
        with self._shop.evaluation() as net:
            if self._due(step, self._plan.gain_every):
                found |= self._gain.measure(net).record()
            if self._adherence is not None and self._due(step, self._plan.adherence_every):
                adherence = self._adherence.measure(self._sampler.at(step, net))
                found |= {} if adherence is None else adherence.record()
        self.seconds = time.monotonic() - began if found else 0.0
        return found

    def preview(self, step: int) -> Path | None:
        """Write the contact sheet of a step and return its path, where one is due."""
        if not self._due(step, self._plan.preview_every):
            return None
        with self._shop.evaluation() as net:
            sheet = contact_sheet(self._sampler.examples, self._sampler.at(step, net))
        path = self._folder.preview(step)
        with whole(path) as part:
            sheet.save(part)
        return path

    def _due(self, step: int, every: int) -> bool:
        return every > 0 and (step % every == 0 or step == self._steps)

    @cached_property
    def _gain(self) -> GainMeter:
        frozen, examples = self._shop.frozen, first_examples(self._shop.held_out, self._plan.gain_samples)
        side = self._shop.size // self._shop.base.downscale
        shape = (len(examples), self._shop.base.latent_channels, side, side)
        posterior = torch.randn(shape, generator=generator(self._seed, "held-out posterior"))
        inputs = Inputs(
            frozen.latents(examples.pixels, posterior),
            frozen.context(examples.captions),
            frozen.condition(examples.condition),
        )
        return GainMeter(self._shop.base, inputs, self._seed, self._batch)

    @cached_property
    def _sampler(self) -> HeldOutSampler:
        examples = first_examples(self._shop.held_out, self._plan.samples)
        # One picture at a time: whatever the batch, a sheet takes no more memory than a picture.
        return HeldOutSampler(self._shop.base, examples, self._shop.frozen, self._plan, self._seed, batch=1)

    @cached_property
    def _adherence(self) -> AdherenceMeter | None:
        if self._plan.adherence is None:
            return None
        # Asked of the shop each time: its decoder is another one in another phase.
        return AdherenceMeter(self._plan.adherence, self._sampler, lambda: self._shop.as_loaded())

"""The locked part of a step's work, without gradients: pictures to latents, captions to contexts; each once.

Every picture and caption is encoded by itself, remembered or not: kernels round differently in batches of
other sizes, so only thus does remembering change no bit of a run, and neither does resuming with an empty
memory.
"""

import hashlib
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from controlnet.backbones import Base
from controlnet.core.context import Context
from controlnet.data.batch import Batch
from controlnet.training.sections import GENERATORS, Data
from controlnet.training.step import Draws, Inputs

AUTO_BYTES: Final = (
    4 * 2**30
)  # `cache: auto` remembers what takes less; a constant, so that a run is one everywhere


class Frozen:
    """Turns batches into what the networks take; remembers posteriors by pixels and contexts by caption."""

    def __init__(self, base: Base, size: int, remember: bool) -> None:
        self._base, self._size, self._remember = base, size, remember
        self._posteriors: dict[bytes, tuple[Tensor, Tensor]] = {}
        self._contexts: dict[str, Context] = {}
        self._empty = self._encode("")  # needed at almost every step

    def inputs(self, batch: Batch, draws: Draws) -> Inputs:
        """Encode a batch: a sample of each picture's posterior, its caption or the empty one, condition."""
        captions = [
            text if kept else ""
            for text, kept in zip(batch.captions, draws.keeps_prompt.tolist(), strict=True)
        ]
        return Inputs(
            latents=self.latents(batch.pixels, draws.posterior),
            context=self.context(captions),
            condition=batch.condition.to(self._base.device),
        )

    def latents(
        self, pixels: Float[Tensor, "B 3 H W"], noise: Float[Tensor, "B C h w"]
    ) -> Float[Tensor, "B C h w"]:
        """Return mean + standard deviation · noise of each picture's posterior, in single precision."""
        means, deviations = zip(*(self._posterior(picture) for picture in pixels.split(1)), strict=True)
        device = self._base.device
        return torch.cat(means).to(device).float() + torch.cat(deviations).to(device).float() * noise.to(
            device
        )

    def context(self, captions: list[str]) -> Context:
        """Return the context of captions, on the base's device."""
        return Context.cat([self._context(caption) for caption in captions]).to(self._base.device)

    def _posterior(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        # By content and not by index: so crops and flips are remembered too, and no mistake is possible.
        key = hashlib.blake2b(picture.numpy().tobytes(), digest_size=16).digest()
        found = self._posteriors.get(key)
        if found is None:
            mean, deviation = self._base.posterior(picture.to(self._base.device))
            found = mean.cpu(), deviation.cpu()
            if self._remember:
                self._posteriors[key] = found
        return found

    def _context(self, caption: str) -> Context:
        if not caption:
            return self._empty
        found = self._contexts.get(caption)
        if found is None:
            found = self._encode(caption)
            if self._remember:
                self._contexts[caption] = found
        return found

    def _encode(self, caption: str) -> Context:
        return self._base.encode_prompts([caption], (self._size, self._size)).to("cpu")


def remembers(plan: Data, base: Base, size: int, examples: int) -> bool:
    """Decide `data.cache`; auto: whether latents, contexts and drawn pictures of all take under 4 GB."""
    if plan.cache != "auto":
        return plan.cache == "memory"
    width = 4  # bytes; an upper bound
    latents = 2 * base.latent_channels * (size // base.downscale) ** 2 * width * (2 if plan.flip else 1)
    context = base.encode_prompts([""]).tokens.numel() * width
    drawn = 2 * 3 * size**2 if plan.source in GENERATORS else 0
    return examples * (latents + context + drawn) < AUTO_BYTES

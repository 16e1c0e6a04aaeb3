"""The locked part of a step's work, without gradients: pictures to latents, captions to contexts; each once.

Every picture and caption is encoded by itself, remembered or not: kernels round differently in batches of
other sizes, so only thus does remembering change no bit of a run, and neither does resuming with an empty
memory. Posteriors are kept and sampled anew, captions are kept whole and dropped anew, so a cache freezes
neither.
"""

from dataclasses import fields
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from controlnet.backbones import Base
from controlnet.core.context import Context
from controlnet.data.batch import Batch
from controlnet.data.cache import caption_key, pixels_key
from controlnet.training.disk import Disk
from controlnet.training.sections import GENERATORS, Data
from controlnet.training.step import Draws, Inputs

AUTO_BYTES: Final = (
    4 * 2**30
)  # `cache: auto` remembers what takes less; a constant, so that a run is one everywhere


class Frozen:
    """Turns batches into what the networks take; remembers posteriors by pixels and contexts by caption.

    size: side of the pictures in pixels, or (H, W). remember: in memory. disk: where the run keeps them
    instead, read where they are there and added to where they are not. reads_latents: the hint encoder
    reads conditions as latents (`core.hint`), which are their posteriors' means.
    """

    def __init__(
        self,
        base: Base,
        size: int | tuple[int, int],
        remember: bool,
        disk: Disk | None = None,
        reads_latents: bool = False,
    ) -> None:
        self._base, self._remember, self._disk, self._reads_latents = base, remember, disk, reads_latents
        self._size = (size, size) if isinstance(size, int) else size
        self._sized = getattr(base.network.config, "addition_embed_type", None) == "text_time"
        self._posteriors: dict[str, tuple[Tensor, Tensor]] = {}
        self._contexts: dict[str, Context] = {}
        self._empty = {self._size: self._context("", self._size)}  # needed at almost every step

    def inputs(self, batch: Batch, draws: Draws) -> Inputs:
        """Encode a batch: a sample of each picture's posterior, its caption or the empty one, condition."""
        captions = [
            text if kept else ""
            for text, kept in zip(batch.captions, draws.keeps_prompt.tolist(), strict=True)
        ]
        return Inputs(
            latents=self.latents(batch.pixels, draws.posterior),
            context=self.context(captions, batch.size),
            condition=self.condition(batch.condition),
            mask=None if batch.mask is None else self._on_latents(batch.mask),
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

    def condition(self, condition: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B K h w"]:
        """Return what the hint encoder reads of a condition in [0,1], on the base's device."""
        if not self._reads_latents:
            return condition.to(self._base.device)
        means = [self._posterior(2 * picture - 1)[0] for picture in condition.split(1)]
        return torch.cat(means).to(self._base.device).float()

    def context(self, captions: list[str], size: tuple[int, int] | None = None) -> Context:
        """Return the context of captions on the base's device; size (H, W) of the pictures, for SDXL."""
        size = size or self._size
        if size not in self._empty:
            self._empty[size] = self._context("", size)
        found = [self._context(caption, size) if caption else self._empty[size] for caption in captions]
        return Context.cat(found).to(self._base.device)

    def prepare(self, pixels: Float[Tensor, "B 3 H W"], captions: list[str]) -> None:
        """Encode what is not remembered yet, and remember it; nothing is drawn."""
        for picture in pixels.split(1):
            self._posterior(picture)
        for caption in captions:
            self._context(caption, (pixels.shape[-2], pixels.shape[-1]))

    def _on_latents(self, mask: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B 1 h w"]:
        return torch.nn.functional.avg_pool2d(mask, self._base.downscale).to(self._base.device)

    def _posterior(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        # By content and not by index: so crops and flips are remembered too, and no mistake is possible.
        key = pixels_key(picture)
        found = self._posteriors.get(key)
        if found is None and self._disk is not None:
            return self._disk.posterior(key, lambda: self._encode_picture(picture))
        if found is None:
            found = self._encode_picture(picture)
            if self._remember:
                self._posteriors[key] = found
        return found

    def _context(self, caption: str, size: tuple[int, int]) -> Context:
        key = caption_key(caption, size if self._sized else None)
        found = self._contexts.get(key)
        if found is None and self._disk is not None:
            parts = self._disk.context(key, lambda: _parts(self._encode(caption, size)))
            return Context(**parts)
        if found is None:
            found = self._encode(caption, size)
            if self._remember:
                self._contexts[key] = found
        return found

    def _encode_picture(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        mean, deviation = self._base.posterior(picture.to(self._base.device))
        return mean.cpu(), deviation.cpu()

    def _encode(self, caption: str, size: tuple[int, int]) -> Context:
        # Captions are no prompts: brackets in them mean brackets, and published trainers cut long ones.
        return self._base.encode_prompts([caption], size, literal=True).to("cpu")


def _parts(context: Context) -> dict[str, Tensor]:
    parts = {field.name: getattr(context, field.name) for field in fields(context)}
    return {name: part for name, part in parts.items() if part is not None}


def bytes_each(plan: Data, base: Base, size: int) -> int:
    """Return how much an example takes to remember: latents, mirrored too where they may be, and context."""
    width = 4  # bytes; an upper bound
    latents = 2 * base.latent_channels * (size // base.downscale) ** 2 * width * (2 if plan.flip else 1)
    return latents + base.encode_prompts([""]).tokens.numel() * width


def remembers(plan: Data, base: Base, size: int, examples: int) -> bool:
    """Tell whether `data.cache` means memory; auto: where latents, contexts and drawn pictures of all take
    under 4 GB.
    """
    if plan.cache != "auto":
        return plan.cache == "memory"
    drawn = 2 * 3 * size**2 if plan.source in GENERATORS else 0
    return examples * (bytes_each(plan, base, size) + drawn) < AUTO_BYTES

"""Base: the locked network and its surroundings, prompts to tokens, pixels to latents and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final, Self, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from controlnet.backbones import _latents, _text, _words
from controlnet.core.backbone import Backbone, Context, backbone_of
from controlnet.core.block import lock
from controlnet.core.objective import Objective
from controlnet.core.origin import fingerprint
from controlnet.core.settings import ControlSettings
from controlnet.errors import CheckpointError, SettingError

PREDICTIONS: Final = ("epsilon", "v_prediction")
AWAY: Final = torch.device("cpu")  # where offloaded parts wait


@final
class Base:
    """A text-to-image diffusion model that stays as it is: every part locked, in evaluation mode.

    Raises SettingError for a network that no backbone knows.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        vae: Any,
        text_encoders: Sequence[Any],
        tokenizers: Sequence[Any],
        scheduler_config: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.network = lock(network)
        self.backbone: Backbone = backbone_of(network)
        self.vae = lock(vae)
        self.text_encoders = tuple(lock(encoder) for encoder in text_encoders)
        self.tokenizers = tuple(tokenizers)
        self.scheduler_config = dict(scheduler_config)
        self.words: dict[str, tuple[Tensor, ...]] = {}  # added to the prompts' language, see add_word
        self.vae_tile: int | None = None  # see tile_vae
        self.offloads = False  # see offload
        self.decoder = ""  # fingerprint of the one that it was given, see `checkpoints.add_decoder`

    def __repr__(self) -> str:
        count = sum(p.numel() for p in self.network.parameters()) / 1e6
        return f"Base({self.name!r}, {count:.1f}M parameters, {self.dtype}, {self.device})"

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The network's precision."""
        return next(self.network.parameters()).dtype

    @property
    def latent_channels(self) -> int:
        """Channels of the latents: 4 for Stable Diffusion."""
        return self.vae.config.latent_channels

    @property
    def downscale(self) -> int:
        """How many pixels, along each side, make one latent: 8 for Stable Diffusion."""
        return _latents.downscale(self.vae)

    @property
    def sample_size(self) -> int:
        """The side of a picture, in pixels, for which the network was made."""
        side: Any = getattr(self.network.config, "sample_size", None) or 64
        return self.downscale * (side if isinstance(side, int) else max(side))

    @property
    def prediction_type(self) -> str:
        """What the network predicts: "epsilon" or "v_prediction"."""
        return self.objective.prediction_type

    @cached_property
    def objective(self) -> Objective:
        """The noise schedule and the kind of prediction; CheckpointError for a kind that is not known."""
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        kind = self.scheduler_config.get("prediction_type", "epsilon")
        if kind not in PREDICTIONS:
            raise CheckpointError(
                f"base {self.name!r} has prediction_type {kind!r}; wanted {' or '.join(PREDICTIONS)}: "
                "mend its scheduler_config.json or use another base"
            )
        schedule: Any = DDPMScheduler.from_config(self.scheduler_config)
        return Objective(schedule.alphas_cumprod, kind)

    @torch.no_grad()
    def encode_prompts(
        self,
        prompts: str | Sequence[str],
        size: tuple[int, int] | None = None,
        clip_skip: int | None = None,
        literal: bool = False,
    ) -> Context:
        """Return the context of one prompt or of some; size (H, W) in pixels matters to SDXL alone.

        Prompts may weigh words, (so:1.2), and be of any length: what exceeds one chunk of the text encoder
        (75 tokens in Stable Diffusion) goes into further ones (docs/prompts.md). clip_skip: the layer of the
        text encoder that is read, 1 being the last; None is the base's own, 1, and 2 for SDXL. literal: take
        the texts as they stand and cut them after one chunk, with a warning, as training does with captions.
        Raises SettingError for a layer that is not there.
        """
        prompts = [prompts] if isinstance(prompts, str) else prompts
        wants_size = getattr(self.network.config, "addition_embed_type", None) == "text_time"
        parts = (prompts, self.tokenizers, self.text_encoders, wants_size, clip_skip)
        with self._visiting(*self.text_encoders):
            tokens, pooled = (
                _text.encode_captions(*parts) if literal else _text.encode_prompts(*parts, self.words)
            )
        height, width = size or (self.sample_size, self.sample_size)
        sizes = [[height, width, 0, 0, height, width]] * len(prompts)
        time_ids = torch.tensor(sizes, dtype=torch.float32) if wants_size else None
        return Context(tokens, pooled, time_ids).to(self.device, self.dtype)

    def add_word(self, word: str, vectors: Sequence[Float[Tensor, "N D"]]) -> None:
        """Let a word of prompts stand for N vectors, one tensor for each text encoder (textual inversion).

        The text encoders stay as they are. Raises SettingError for a word that no prompt could hold, and
        ShapeError for vectors that do not fit the encoders.
        """
        self.words |= _words.checked_word(word, vectors, self.tokenizers, self.text_encoders)

    @torch.no_grad()
    def posterior(
        self, pixels: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B C h w"], Float[Tensor, "B C h w"]]:
        """Return mean and standard deviation of the scaled latents of pixels in [−1,1], for caches."""
        with self._visiting(self.vae):
            mean, std = _latents.posterior(self.vae, pixels, self.vae_tile)
        return mean.to(self.device, self.dtype), std.to(self.device, self.dtype)

    def encode_pixels(
        self, pixels: Float[Tensor, "B 3 H W"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "B C h w"]:
        """Return scaled latents of pixels in [−1,1]: their mean, or a sample where a generator is given."""
        mean, std = self.posterior(pixels)
        if generator is None:
            return mean
        noise = torch.randn(mean.shape, generator=generator, device=generator.device, dtype=mean.dtype)
        return mean + std * noise.to(mean.device)

    def as_read(
        self, settings: ControlSettings, condition: Float[Tensor, "B K H W"]
    ) -> Float[Tensor, "B K h w"]:
        """Return what a ControlNet's hint encoder reads of a condition in [0,1]: itself, or its latents.

        Each by itself, as kernels round otherwise in batches of other sizes.
        """
        if not settings.reads_latents:
            return condition
        return torch.cat([self.encode_pixels(2 * picture - 1) for picture in condition.split(1)])

    def decode_latents(self, latents: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 3 H W"]:
        """Return pixels in [−1,1]; gradients pass, for losses on the picture, unless the VAE is offloaded."""
        if self.offloads and latents.requires_grad and torch.is_grad_enabled():
            raise SettingError(
                "got latents that want a gradient through an offloaded VAE, which is gone by then; wanted a "
                "base without offload"
            )
        with self._visiting(self.vae):
            return _latents.decode(self.vae, latents, self.vae_tile)

    def tile_vae(self, side: int | None) -> Self:
        """Let the VAE take pictures larger than `side` pixels in overlapping tiles; None: whole.

        Memory is then that of one tile beside the picture; tiles share a quarter of a side. Pictures that
        are larger change (how much: docs/sampling.md), others do not. SettingError for sides that the VAE
        cannot take.
        """
        if side is not None:
            _latents.check_tile(self.vae, side)
        self.vae_tile = side
        return self

    def offload(self) -> Self:
        """Keep text encoders and VAE in main memory; they come to the network's device only while they work.

        The same arithmetic on the same device, so the same pictures to the bit.
        """
        self.offloads = True
        for part in (*self.text_encoders, self.vae):
            _move(part, AWAY)
        return self

    def fingerprint(self) -> str:
        """Return a short name for the network's weights, equal in single and half precision."""
        return fingerprint(self.network)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move all parts to a device and a precision; a VAE that overflows in float16 goes to float32.

        Offloaded parts stay where they are.
        """
        overflows = dtype == torch.float16 and getattr(self.vae.config, "force_upcast", False)
        # torch's own method: that of diffusers warns whenever it is given a precision.
        nn.Module.to(self.network, device=device, dtype=dtype)
        beside = AWAY if self.offloads else device
        for part in self.text_encoders:
            nn.Module.to(part, device=beside, dtype=dtype)
        nn.Module.to(self.vae, device=beside, dtype=torch.float32 if overflows else dtype)
        return self

    @contextmanager
    def _visiting(self, *parts: nn.Module) -> Iterator[None]:
        """Have parts on the network's device while they work; those that are offloaded only so long."""
        if not self.offloads:
            yield
            return
        try:
            for part in parts:
                _move(part, self.device)
            yield
        finally:
            for part in parts:
                _move(part, AWAY)


def _move(part: nn.Module, device: torch.device) -> None:
    nn.Module.to(part, device=device)

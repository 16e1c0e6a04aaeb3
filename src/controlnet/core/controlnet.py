"""ControlNet: a trainable copy of a locked network's encoder, joined to it by zero convolutions.

    hint      = Z(c; Θz1)             the condition, brought to the size of the network's features
    features  = F(x + hint; Θc)       the copy; the hint enters behind the first convolution, not before it
    residuals = Z(features; Θz2)      one zero convolution for each tap

Added to the locked network at its taps (see `controlled`), they make y_c of eq. 2: y itself while every Z is
zero.

Legend: B batch; c condition, K channels, H W its size; x latents, C channels, h = H/s, w = W/s, s the stride;
C0 channels of the hint; Ci hi wi the map of tap i.
Source: paper, sections 3.1 and 3.2; the hint's form and place follow the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Unpack, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from controlnet.core.backbone import Backbone, Context, Locked, Tap, resolve, spread
from controlnet.core.block import lock
from controlnet.core.hint import hint_encoder
from controlnet.core.lite import LiteCopy
from controlnet.core.origin import Origin
from controlnet.core.residuals import Residuals
from controlnet.core.settings import Changes, ControlSettings
from controlnet.core.zero import Init, zero_conv, zero_linear
from controlnet.errors import ShapeError

__all__ = ["ControlNet", "ControlSettings", "Origin"]


@final
class ControlNet(nn.Module):
    """The trainable half: the copy Θc, the hint encoder Θz1 and the zero convolutions Θz2."""

    def __init__(
        self,
        copy: nn.Module,
        taps: Sequence[Tap],
        backbone: Backbone,
        settings: ControlSettings,
        origin: Origin,
    ) -> None:
        super().__init__()
        self.backbone, self.settings, self.origin = backbone, settings, origin
        self.taps = tuple(taps)
        self.copy = copy
        self.hint = hint_encoder(
            settings.hint,
            settings.condition_channels,
            self.taps[0].channels,
            settings.hint_widths,
            settings.init,
        )
        self.zeros = nn.ModuleDict()
        self._connect(settings.init)

    @classmethod
    def from_base(
        cls, base: Locked | nn.Module, settings: ControlSettings | None = None, **changes: Unpack[Changes]
    ) -> ControlNet:
        """Clone a base, or its bare network, and join zero convolutions to the clone; the base gets locked.

        Settings are given whole, keyword by keyword, or both; device and precision are the network's. Locked
        is: no gradient into its parameters, evaluation mode; unlock afterwards what shall be trained as well.
        Raises SettingError for a network that no backbone knows.
        """
        network, backbone = resolve(base)
        settings = replace(settings or ControlSettings(), **changes)
        return cls.of(lock(network), backbone, settings, Origin.of(base))

    @classmethod
    def of(
        cls, network: nn.Module, backbone: Backbone, settings: ControlSettings, origin: Origin
    ) -> ControlNet:
        """Do the same with a network that stays as it is, locked or not."""
        copied = backbone.clone if settings.copy == "full" else backbone.lite
        net = cls(copied(network), backbone.taps(network), backbone, settings, origin)
        like = next(network.parameters())
        return net.to(like.device, like.dtype)

    def forward(
        self,
        x: Float[Tensor, "B C h w"],
        timestep: Tensor | int | float,
        context: Context | Tensor,
        condition: Float[Tensor, "#B K H W"],
    ) -> Residuals:
        """Return the residuals of a condition in [0,1]; ShapeError unless its sides are s times x's."""
        return self.residuals(x, timestep, context, self.embed(condition))

    def embed(self, condition: Float[Tensor, "B K H W"]) -> Float[Tensor, "B C0 h w"]:
        """Return the hint of a condition in [0,1]; one serves for all the steps of a picture."""
        stride, channels = self.settings.stride, self.settings.condition_channels
        shape = tuple(condition.shape)
        fits = len(shape) == 4 and shape[1] == channels and not any(side % stride for side in shape[2:])
        if not fits or not condition.is_floating_point():
            raise ShapeError(
                f"got a condition {shape} of {condition.dtype}; wanted floats (B,{channels},H,W) in [0,1], "
                f"sides multiples of {stride}: convert or resize it"
            )
        return self.hint(condition.to(self.dtype))

    def residuals(
        self,
        x: Float[Tensor, "B C h w"],
        timestep: Tensor | int | float,
        context: Context | Tensor,
        hint: Float[Tensor, "#B C0 h w"],
    ) -> Residuals:
        """Return a residual for each tap (B,Ci,hi,wi), skips first, middle last; zero where not connected."""
        if hint.shape[-2:] != x.shape[-2:] or hint.shape[0] not in (1, x.shape[0]):
            height, width = (self.settings.stride * side for side in x.shape[-2:])
            raise ShapeError(
                f"got latents {tuple(x.shape)} and a hint {tuple(hint.shape)}; wanted one condition, or one "
                f"for each sample, of {height}×{width} pixels: resize it or repeat it"
            )
        features = self._features(x.to(self.dtype), spread(timestep, x), Context.of(context), hint)
        residuals = Residuals(
            tuple(
                self.zeros[tap.name](feature) if tap.name in self.zeros else torch.zeros_like(feature)
                for tap, feature in zip(self.taps, features, strict=True)
            )
        )
        return residuals.pool() if self.settings.global_pool else residuals

    def relink(self) -> None:
        """Join the taps that connect="middle" left out, once results and condition agree (section 3.3).

        Their zero convolutions are new parameters, zero, of which an optimizer made before does not know.
        """
        self.settings = replace(self.settings, connect="all")
        self._connect("zero")

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the trainable parameters by part, disjoint: "copy", "hint", "zero"."""
        parts = {"copy": self.copy, "hint": self.hint, "zero": self.zeros}
        return {name: [p for p in part.parameters() if p.requires_grad] for name, part in parts.items()}

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the parameters, to which inputs are brought."""
        return next(self.hint.parameters()).dtype

    def _features(self, x: Tensor, timestep: Tensor, context: Context, hint: Tensor) -> tuple[Tensor, ...]:
        if isinstance(self.copy, LiteCopy):
            return self.copy(x, hint)
        return self.backbone.encode(self.copy, x, timestep, context.to(dtype=self.dtype), hint)

    def _connect(self, init: Init) -> None:
        like, there = next(self.hint.parameters()), dict(self.zeros.items())
        self.zeros.clear()  # in the order of the taps, whenever each was joined: others count on it
        for tap in self.taps if self.settings.connect == "all" else self.taps[-1:]:
            zero = zero_conv if tap.layout == "map" else zero_linear
            self.zeros[tap.name] = there.get(tap.name) or zero(tap.channels, tap.channels, init).to(like)

"""Approximate speed: what changes slowly from step to step is computed at key steps and reused between them.

    "residuals:k"   ControlNets run at every k-th step; the base runs at all
    "deep:k"        all runs at every k-th step; between, only the outermost layers of the base do, on deep
                    features and residuals of the last key step

Key steps are 0, k, 2k …, and each at which other controls are on than at the one before, so that the ends of
intervals are exact. Weights that change over the steps stay, between key steps, what they were at the last.

Source: deep features, and that they change slowly: DeepCache, Ma et al. 2312.00858; key steps of the encoder:
Li et al. 2312.09608 (Faster Diffusion).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Self, final, get_args

from torch import Tensor

from controlnet.backbones import Base
from controlnet.core.backbone import Context, spread
from controlnet.core.controlled import denoise
from controlnet.core.residuals import Residuals
from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import quoted, unknown
from controlnet.sampling.control import Control

if TYPE_CHECKING:
    from controlnet.sampling.denoiser import Step
    from controlnet.sampling.sampler import Sampler

Kind = Literal["residuals", "deep"]

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
DISTILLED: Final = ("LCMScheduler", "TCDScheduler", "FlowMatchLCMScheduler")

log = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class Reuse:
    """What is reused (`KINDS`), and that every so-many-th step is a key step."""

    kind: Kind
    every: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "deep:3"; UnknownName for another kind, SettingError for another form or number."""
        kind, _, number = (part.strip() for part in text.partition(":"))
        for known in KINDS:
            if kind == known:
                if number.isdecimal() and int(number) >= 2:
                    return cls(known, int(number))
                raise SettingError(
                    f"got reuse {quoted(text)}; wanted {kind}:K, every K-th step being computed whole, K a "
                    "whole number from 2, usually 3"
                )
        raise UnknownName(unknown("kind of reuse", kind, KINDS))

    def check(self, base: Base, sampler: Sampler, controlled: bool) -> None:
        """Raise SettingError where this makes no sense with a base or a sampler; warn where nothing is saved.

        controlled: whether any control acts.
        """
        label = sampler.kind.label
        if sampler.calls_a_step > 1:
            raise SettingError(
                f"got reuse with the sampler {label!r}, which looks at each step from two places; wanted one "
                "that calls the network once a step, such as DPM++ 2M"
            )
        if sampler.kind.solver.scheduler in DISTILLED:
            raise SettingError(
                f"got reuse with the sampler {label!r}, whose few steps have nothing in common that could be "
                "reused; wanted one without the other"
            )
        if self.every >= sampler.count:
            raise SettingError(
                f"got a key step in {self.every}, which in {sampler.count} steps is the first alone; wanted "
                "less, usually 3"
            )
        if self.kind == "deep":
            with base.backbone.deep(base.network):  # which refuses networks that have none
                pass
        elif not controlled:
            log.warning("reuse of residuals has no effect: no control acts")


@final
class Kept:
    """What the key steps of one walk leave to the steps behind them."""

    def __init__(self, reuse: Reuse) -> None:
        self._reuse = reuse
        self._acting: list[Control] | None = None  # at the last key step
        self._residuals: Residuals | None = None
        self._deep: list[Tensor] = []

    def predict(
        self,
        base: Base,
        latents: Tensor,
        step: Step,
        context: Context,
        acting: Sequence[Control],
        residuals: Callable[[], Residuals | None],
    ) -> Tensor:
        """Predict for latents (B, C, h, w), in full at key steps; residuals are asked for there alone."""
        key = step.index % self._reuse.every == 0 or self._acting != acting
        if key:
            self._acting, self._residuals = list(acting), residuals()
        if self._reuse.kind == "residuals":
            return denoise(base, latents, step.timestep, context, self._residuals)
        if key:
            with base.backbone.deep(base.network) as self._deep:
                return denoise(base, latents, step.timestep, context, self._residuals)
        timestep = spread(step.timestep, latents)
        return base.backbone.shallow(base.network, latents, timestep, context, self._residuals, self._deep[0])

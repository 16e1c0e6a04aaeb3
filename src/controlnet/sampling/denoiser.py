"""Denoisers: (x, step) -> prediction; the locked base under the controls that are on at that step.

Two denoisers of the same kind join into one that runs both in a single call on a doubled batch, which is what
guidance needs. Rows of the batch: B pictures; in a joined denoiser the first one's rows come first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, final

import torch
from jaxtyping import Float
from torch import Tensor

from controlnet.backbones import Base
from controlnet.core.backbone import Context
from controlnet.core.controlled import denoise
from controlnet.core.residuals import Residuals
from controlnet.sampling.control import Control
from controlnet.sampling.reuse import Kept


@dataclass(frozen=True)
class Step:
    """Where the sampler stands: step `index` of `count`, at `timestep` (a tensor of no dimension)."""

    index: int
    count: int
    timestep: Tensor


class Denoiser(Protocol):
    """Predicts noise, velocity or flow, whatever the base was trained for, from x (B, C, h, w) at a step."""

    def __call__(self, x: Float[Tensor, "B C h w"], step: Step) -> Float[Tensor, "B C h w"]:
        """Predict for x."""
        ...


@dataclass(frozen=True, eq=False)
class Steering:
    """A control placed on some rows of the batch; hint and mask have one row for each, or one for all."""

    control: Control
    rows: slice
    hint: Tensor
    mask: Tensor | None

    def residuals(self, x: Tensor, step: Step, context: Context) -> Residuals:
        """Run the ControlNet on its rows and weigh the outcome; the other rows get zero."""
        found = self.control.net.residuals(x[self.rows], step.timestep, context[self.rows], self.hint)
        found = found.to(dtype=x.dtype).weigh(self.control.weights(step.index, step.count))
        if self.mask is not None:
            found = found.mask(self.mask)
        return found.map(lambda residual: _spread(residual, self.rows, len(x)))

    def shifted(self, offset: int) -> Steering:
        """Move to rows further down, as joining does."""
        return replace(self, rows=slice(self.rows.start + offset, self.rows.stop + offset))


@final
@dataclass(frozen=True, eq=False)
class ControlledDenoiser:
    """The base with one prompt for each picture and any number of controls, summed.

    A ControlNet is called only at steps where its control is on, and only on its rows. kept: what steps of
    this walk leave to the next ones, where something is reused (see `reuse`); None means that nothing is.
    """

    base: Base
    context: Context
    steerings: tuple[Steering, ...] = ()
    kept: Kept | None = None

    def __call__(self, x: Float[Tensor, "B C h w"], step: Step) -> Float[Tensor, "B C h w"]:
        """Predict in the base's precision, handed back in the precision of x.

        x            (B, C, h, w)  noisy latents, scaled as the scheduler wants them
        prediction   (B, C, h, w)
        """
        latents = x.to(self.base.dtype)
        active = [s for s in self.steerings if s.control.acts(step.index, step.count)]

        def summed() -> Residuals | None:
            parts = [s.residuals(latents, step, self.context) for s in active]
            return Residuals.sum(parts) if parts else None

        if self.kept is not None:
            acting = [s.control for s in active]
            return self.kept.predict(self.base, latents, step, self.context, acting, summed).to(x.dtype)
        return denoise(self.base, latents, step.timestep, self.context, summed()).to(x.dtype)

    def join(self, other: ControlledDenoiser) -> ControlledDenoiser:
        """Make one denoiser of two over the same base: its batch is this one's rows, then the other's."""
        moved = [s.shifted(self.context.batch) for s in other.steerings]
        merged: list[Steering] = []
        for mine in self.steerings:
            twin = next(
                (s for s in moved if s.control is mine.control and s.rows.start == mine.rows.stop), None
            )
            merged.append(mine if twin is None else _merge(mine, twin))
            moved = [s for s in moved if s is not twin]
        context = Context.cat([self.context, other.context])
        return ControlledDenoiser(self.base, context, (*merged, *moved), self.kept)


def _merge(upper: Steering, lower: Steering) -> Steering:
    """Run a control that both denoisers have once, on the rows of both."""
    own = [s.rows.stop - s.rows.start for s in (upper, lower)]
    hint = upper.hint
    if upper.hint is not lower.hint or len(hint) > 1:
        hint = torch.cat([_rows_of(upper.hint, own[0]), _rows_of(lower.hint, own[1])])
    mask = upper.mask
    if mask is not None and lower.mask is not None and len(mask) > 1:
        mask = torch.cat([_rows_of(mask, own[0]), _rows_of(lower.mask, own[1])])
    return replace(upper, rows=slice(upper.rows.start, lower.rows.stop), hint=hint, mask=mask)


def _rows_of(tensor: Tensor, count: int) -> Tensor:
    return tensor.expand(count, *tensor.shape[1:]) if len(tensor) == 1 else tensor


def _spread(residual: Tensor, rows: slice, whole: int) -> Tensor:
    if len(residual) == whole:
        return residual
    spread = residual.new_zeros((whole, *residual.shape[1:]))
    spread[rows] = residual
    return spread

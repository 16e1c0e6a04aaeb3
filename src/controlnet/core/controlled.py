"""The locked network with residuals added at its taps: y_c of eq. 2.

Legend: B batch; C h w latents; K H W condition.
"""

from __future__ import annotations

from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from controlnet.core.backbone import Backbone, Context, Locked, resolve, spread
from controlnet.core.block import lock
from controlnet.core.controlnet import ControlNet
from controlnet.core.residuals import Residuals
from controlnet.errors import ShapeError


def denoise(
    base: Locked | nn.Module,
    x: Float[Tensor, "B C h w"],
    timestep: Tensor | int | float,
    context: Context | Tensor,
    residuals: Residuals | None = None,
) -> Float[Tensor, "B C h w"]:
    """Return y_c, or the network's own y where residuals is None; base is a base or its bare network.

    Raises ShapeError for residuals that belong to another network's taps.
    """
    return _denoise(*resolve(base), x, timestep, context, residuals)


def _denoise(
    network: nn.Module,
    backbone: Backbone,
    x: Tensor,
    timestep: Tensor | int | float,
    context: Context | Tensor,
    residuals: Residuals | None,
) -> Tensor:
    if residuals is not None:
        wanted = [tap.channels for tap in backbone.taps(network)]
        got = [residual.shape[1 if residual.ndim == 4 else -1] for residual in residuals]
        if got != wanted:
            raise ShapeError(
                f"got residuals of {got} channels; wanted {wanted}, skips first and the middle last: use a "
                "ControlNet made from this kind of base"
            )
        residuals = residuals.to(dtype=x.dtype)
    return backbone.denoise(network, x, spread(timestep, x), Context.of(context), residuals)


@final
class ControlledModel(nn.Module):
    """A locked network and its ControlNet as one module; only the ControlNet's parameters are trainable."""

    def __init__(self, base: Locked | nn.Module, controlnet: ControlNet) -> None:
        super().__init__()
        network, self.backbone = resolve(base)
        self.network = lock(network)
        self.controlnet = controlnet

    def forward(
        self,
        x: Float[Tensor, "B C h w"],
        timestep: Tensor | int | float,
        context: Context | Tensor,
        condition: Float[Tensor, "#B K H W"],
        weight: int | float = 1.0,
    ) -> Float[Tensor, "B C h w"]:
        """Return y_c for a condition in [0,1], its control scaled by weight."""
        residuals = self.controlnet(x, timestep, context, condition) * weight
        return _denoise(self.network, self.backbone, x, timestep, context, residuals)

    def train(self, mode: bool = True) -> ControlledModel:
        """Switch the ControlNet; the network stays as it was locked."""
        super().train(mode)
        self.network.eval()
        return self

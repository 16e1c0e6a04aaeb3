"""Guidance: denoisers in, one denoiser out."""

from typing import final

from jaxtyping import Float
from torch import Tensor, cat

from controlnet.sampling.denoiser import ControlledDenoiser, Denoiser, Step


@final
class ClassifierFree:
    """Classifier-free guidance, both passes in one call on a doubled batch, the unconditional one first.

    ε = ε_u + s(ε_c − ε_u)   (Ho & Salimans 2022, in the form of the Stable Diffusion code: s = 1 + w)
    """

    def __init__(
        self, conditional: ControlledDenoiser, unconditional: ControlledDenoiser, scale: float
    ) -> None:
        self._both = unconditional.join(conditional)
        self._scale = scale

    def __call__(self, x: Float[Tensor, "B C h w"], step: Step) -> Float[Tensor, "B C h w"]:
        """Predict for x under guidance."""
        unguided, prompted = self._both(cat([x, x]), step).chunk(2)
        return unguided + self._scale * (prompted - unguided)


def guide(
    conditional: ControlledDenoiser, unconditional: ControlledDenoiser | None, scale: float
) -> Denoiser:
    """Guide by `scale`; at 1, or where there is nothing to guide away from, the second pass is left out."""
    if unconditional is None or scale == 1.0:
        return conditional
    return ClassifierFree(conditional, unconditional, scale)

"""Guidance: denoisers in, one denoiser out."""

from typing import final

from jaxtyping import Float
from torch import Tensor, cat

from controlnet.sampling.denoiser import ControlledDenoiser, Step


@final
class ClassifierFree:
    """Classifier-free guidance, both passes in one call on a doubled batch, the unconditional one first.

    ε = ε_u + s(ε_c − ε_u)   (Ho & Salimans 2022, in the form of the Stable Diffusion code: s = 1 + w)

    Just so for v and for flow, which are linear in ε and in z. rescale: see `rescaled`.
    """

    def __init__(
        self,
        conditional: ControlledDenoiser,
        unconditional: ControlledDenoiser,
        scale: float,
        rescale: float = 0.0,
    ) -> None:
        self._both = unconditional.join(conditional)
        self._scale, self._rescale = scale, rescale

    def __call__(self, x: Float[Tensor, "B C h w"], step: Step) -> Float[Tensor, "B C h w"]:
        """Predict for x under guidance."""
        unguided, prompted = self._both(cat([x, x]), step).chunk(2)
        guided = unguided + self._scale * (prompted - unguided)
        return rescaled(guided, prompted, self._rescale) if self._rescale else guided


def rescaled(
    guided: Float[Tensor, "B C h w"], prompted: Float[Tensor, "B C h w"], share: float
) -> Float[Tensor, "B C h w"]:
    """Bring each picture's prediction back to the standard deviation that it has without guidance.

    x_cfg·φ·std(x_pos) / std(x_cfg) + (1 − φ)·x_cfg   (Lin et al. 2305.08891, eq. 15 and 16; φ = share, 0.7
    there). Guidance widens predictions, which bases that begin in pure noise turn into glaring pictures.
    """
    axes = tuple(range(1, guided.ndim))
    factor = prompted.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True)
    return share * (guided * factor) + (1 - share) * guided

"""What the network learns to predict.

With noise ε and a picture's latents z, the noisy latents are x_t = α_t·z + σ_t·ε, and the target is

    epsilon         ε                     Ho et al. 2006.11239; SD 1.x, SDXL
    v_prediction    α_t·ε − σ_t·z         Salimans and Ho 2202.00512; SD 2.x
    flow            ε − z                 Lipman et al. 2210.02747, on the straight path α_t + σ_t = 1

and the loss in each case ‖target − prediction‖² (paper, eq. 5, says it for ε).

Legend: B batch; T timesteps; ᾱ the schedule's cumulative product; latents (B,C,h,w).
"""

from __future__ import annotations

from typing import Literal, final, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from controlnet.errors import SettingError
from controlnet.nearest import unknown

PredictionType = Literal["epsilon", "v_prediction", "flow"]


@final
class Objective:
    """A noise schedule and a kind of prediction; timesteps run from 0, little noise, to T−1.

    Takes ᾱ_t for epsilon and v_prediction, and for flow, whose path is straight, α_t = 1 − σ_t itself. Raises
    SettingError for another kind of prediction.
    """

    def __init__(
        self, alphas_cumprod: Float[Tensor, " T"], prediction_type: PredictionType = "epsilon"
    ) -> None:
        if prediction_type not in get_args(PredictionType):
            raise SettingError(unknown("prediction type", prediction_type, get_args(PredictionType)))
        share = alphas_cumprod.detach()
        self.prediction_type: PredictionType = prediction_type
        self.alpha = share if prediction_type == "flow" else share.sqrt()
        self.sigma = 1 - share if prediction_type == "flow" else (1 - share).sqrt()

    @property
    def timesteps(self) -> int:
        """How many timesteps T there are."""
        return len(self.alpha)

    def add_noise(self, z: Tensor, noise: Tensor, timestep: Int[Tensor, " B"]) -> Tensor:
        """Return x_t = α_t·z + σ_t·ε."""
        alpha, sigma = self._at(timestep, z)
        return (alpha * z + sigma * noise).to(z.dtype)

    def target(self, z: Tensor, noise: Tensor, timestep: Int[Tensor, " B"]) -> Tensor:
        """Return what the network shall predict."""
        if self.prediction_type == "epsilon":
            return noise
        if self.prediction_type == "flow":
            return noise - z
        alpha, sigma = self._at(timestep, z)
        return (alpha * noise - sigma * z).to(z.dtype)

    def x0(self, x: Tensor, prediction: Tensor, timestep: Int[Tensor, " B"]) -> Tensor:
        """Return the latents z that a prediction at x_t stands for."""
        alpha, sigma = self._at(timestep, x)
        if self.prediction_type == "epsilon":
            return ((x - sigma * prediction) / alpha).to(x.dtype)
        if self.prediction_type == "flow":
            return (x - sigma * prediction).to(x.dtype)
        return (alpha * x - sigma * prediction).to(x.dtype)

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Float[Tensor, " B"]:
        """Return each sample's mean squared error, in single precision or better.

        The weight is a number for each sample (B,) or for each place (B,1,h,w).
        """
        precision = torch.promote_types(prediction.dtype, torch.float32)
        error = (prediction.to(precision) - target.to(precision)) ** 2
        if weight is not None:
            error = error * (weight.view(-1, *(1,) * (error.ndim - 1)) if weight.ndim == 1 else weight)
        return error.flatten(1).mean(1)

    def min_snr(self, timestep: Int[Tensor, " B"], gamma: float = 5.0) -> Float[Tensor, " B"]:
        """Return the loss weight that amounts to min(SNR, γ) on the error of z (Hang et al. 2303.09556)."""
        alpha, sigma = self.alpha.to(timestep.device)[timestep], self.sigma.to(timestep.device)[timestep]
        snr = (alpha / sigma) ** 2
        if self.prediction_type == "epsilon":  # an error of ε is one of z times α/σ
            return (gamma / snr).clamp(max=1)
        return snr.clamp(max=gamma) * sigma**2  # an error of v, or of ε − z, is one of z divided by σ

    def _at(self, timestep: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return α_t and σ_t, shaped to multiply latents, on their device."""
        shape = (-1, *(1,) * (like.ndim - 1))
        alpha, sigma = self.alpha.to(like.device), self.sigma.to(like.device)
        return alpha[timestep].view(shape), sigma[timestep].view(shape)

"""A problem whose solution is known: latents N(μ, s²), whose ideal denoiser has a closed form.

With x = α·z + σ·ε the posterior mean is E[z|x] = μ + α·s²·(x − α·μ)/(α²·s² + σ²), and the flow of probability
keeps each x at its own distance from the mean, in standard deviations.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from controlnet.sampling.denoiser import Step

SD: dict[str, Any] = {
    "_class_name": "PNDMScheduler", "num_train_timesteps": 1000,
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False, "skip_prk_steps": True,
}  # fmt: skip
FLOW: dict[str, Any] = {
    "_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0
}  # fmt: skip
MEAN, SPREAD = 0.7, 0.5


def config(prediction_type: str) -> dict[str, Any]:
    return FLOW if prediction_type == "flow" else SD | {"prediction_type": prediction_type}


@cache
def ratios() -> list[float]:
    """Give σ/α at each timestep."""
    betas = torch.linspace(SD["beta_start"] ** 0.5, SD["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2
    shares = (1 - betas).cumprod(0)
    return ((1 - shares) / shares).sqrt().tolist()


def levels(timestep: float, prediction_type: str = "epsilon") -> tuple[float, float]:
    """Give α and σ; between whole timesteps σ/α is interpolated, as the schedulers do."""
    if prediction_type == "flow":
        return 1 - timestep / 1000, timestep / 1000
    low = int(timestep)
    at = ratios()[low] + (timestep - low) * (ratios()[min(low + 1, 999)] - ratios()[low])
    alpha = 1 / (at**2 + 1) ** 0.5
    return alpha, (1 - alpha**2) ** 0.5


def spread(alpha: float, sigma: float) -> float:
    """Give the standard deviation of x."""
    return (alpha**2 * SPREAD**2 + sigma**2) ** 0.5


@dataclass
class Ideal:
    """Predicts the posterior mean, in the terms of the prediction type."""

    prediction_type: str = "epsilon"

    def __call__(self, x: torch.Tensor, step: Step) -> torch.Tensor:
        alpha, sigma = levels(float(step.timestep), self.prediction_type)
        z = self.estimate(x, alpha, sigma)
        noise = (x - alpha * z) / max(sigma, 1e-6)
        if self.prediction_type == "flow":
            return noise - z
        return alpha * noise - sigma * z if self.prediction_type == "v_prediction" else noise

    def estimate(self, x: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
        return MEAN + alpha * SPREAD**2 / spread(alpha, sigma) ** 2 * (x - alpha * MEAN)


class Consistent(Ideal):
    """Predicts where the flow of probability ends, as networks distilled for LCM do."""

    def estimate(self, x: torch.Tensor, alpha: float, sigma: float) -> torch.Tensor:
        return MEAN + SPREAD / spread(alpha, sigma) * (x - alpha * MEAN)


@dataclass
class TrajectoryConsistent:
    """Predicts the noise that leads straight to where the flow of probability passes timestep s, for TCD."""

    timesteps: list[int]

    def __call__(self, x: torch.Tensor, step: Step) -> torch.Tensor:
        following = self.timesteps[step.index + 1] if step.index + 1 < step.count else 0
        alpha, sigma = levels(float(step.timestep))
        alpha_s, sigma_s = levels(int(0.7 * following))
        goal = alpha_s * MEAN + spread(alpha_s, sigma_s) / spread(alpha, sigma) * (x - alpha * MEAN)
        return (goal - alpha_s / alpha * x) / (sigma_s - alpha_s * sigma / alpha)

"""AdamW over the ControlNet's three groups of parameters and an unlocked decoder's; rates by the step."""

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

import torch
from torch import nn

from controlnet.core.controlnet import ControlNet
from controlnet.errors import MissingExtra
from controlnet.training.sections import Optim

COSINE_FLOOR: Final = 0.1  # share of the peak learning rate at which a cosine ends


def make_optimizer(
    net: ControlNet, plan: Optim, decoder: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """Return AdamW over the trainable parameters of a ControlNet, and over an unlocked decoder.

    It updates all parameters in one kernel unless the plan says otherwise: faster, and no tensors in
    between. MissingExtra where moments of eight bits are wanted and bitsandbytes is not installed.
    """
    groups = [
        {"name": name, "params": list(parameters), "lr": peak_rate(name, plan)}
        for name, parameters in {**net.parameter_groups(), "decoder": decoder}.items()
        if parameters
    ]
    settings: dict[str, Any] = {"betas": plan.betas, "eps": plan.eps, "weight_decay": plan.weight_decay}
    if plan.kind == "adamw8bit":
        return eight_bits()(groups, **settings)
    return torch.optim.AdamW(groups, fused=plan.fused, **settings)


def eight_bits() -> Callable[..., torch.optim.Optimizer]:
    """Return AdamW whose moments have eight bits (Dettmers et al. 2110.02861), of bitsandbytes."""
    try:
        return import_module("bitsandbytes").optim.AdamW8bit
    except ImportError as error:
        raise MissingExtra(
            f"optim.kind is adamw8bit, which needs bitsandbytes ({error}); install it with: "
            "pip install 'controlnet[lowbit]', or set optim.kind to adamw"
        ) from error


def peak_rate(group: str, plan: Optim) -> float:
    """Return the learning rate of "copy", "hint", "zero" or "decoder" after the warm-up."""
    own = {"copy": plan.lr, "hint": plan.hint_lr, "zero": plan.zero_lr, "decoder": plan.decoder_lr}[group]
    if own is None:
        return plan.lr if group == "decoder" else plan.lr * plan.multiplier
    return own


def schedule(step: int, steps: int, plan: Optim) -> float:
    """Return the share of the peak learning rate in use at a step, counted from 1."""
    rise = min(1.0, step / plan.warmup) if plan.warmup else 1.0
    if plan.schedule == "constant":
        return rise
    through = min(1.0, max(0, step - plan.warmup) / max(1, steps - plan.warmup))
    return rise * (COSINE_FLOOR + (1 - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * through)))


def set_rates(optimizer: torch.optim.Optimizer, step: int, steps: int, plan: Optim) -> dict[str, float]:
    """Set every group's learning rate for a step and return them by the group's name."""
    share = schedule(step, steps, plan)
    for group in optimizer.param_groups:
        group["lr"] = peak_rate(group["name"], plan) * share
    return {group["name"]: group["lr"] for group in optimizer.param_groups}

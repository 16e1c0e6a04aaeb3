"""AdamW over the ControlNet's three groups of parameters; learning rates as a function of the step."""

import math
from typing import Final

import torch

from controlnet.core.controlnet import ControlNet
from controlnet.training.sections import Optim

COSINE_FLOOR: Final = 0.1  # share of the peak learning rate at which a cosine ends


def make_optimizer(net: ControlNet, plan: Optim) -> torch.optim.AdamW:
    """Return AdamW over the trainable parameters of a ControlNet; the locked base has none in it.

    On a CPU it is the fused one: a thirteenth of the loop's time there, and no tensors in between.
    """
    groups = [
        {"name": name, "params": parameters, "lr": peak_rate(name, plan)}
        for name, parameters in net.parameter_groups().items()
        if parameters
    ]
    fused = all(p.device.type == "cpu" for group in groups for p in group["params"]) or None
    return torch.optim.AdamW(
        groups, betas=plan.betas, eps=plan.eps, weight_decay=plan.weight_decay, fused=fused
    )


def peak_rate(group: str, plan: Optim) -> float:
    """Return the learning rate of "copy", "hint" or "zero" after the warm-up."""
    own = {"copy": plan.lr, "hint": plan.hint_lr, "zero": plan.zero_lr}[group]
    return plan.lr * plan.multiplier if own is None else own


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

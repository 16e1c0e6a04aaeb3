"""Whether a plan fits its device: told, warned of or refused before the first step."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import torch

from controlnet.backbones import Base
from controlnet.core.settings import ControlSettings
from controlnet.errors import PlanError
from controlnet.training.estimate import GB, Estimate, Estimator, gb, mends
from controlnet.training.plan import TrainingPlan
from controlnet.training.setup import condition_channels, make_net

log = logging.getLogger(__name__)

_KB: Final = 1024


def room_of(device: torch.device) -> tuple[float, float] | None:
    """Return the bytes that a device has and those that are free; None where it does not say."""
    if device.type == "cuda":
        free, has = torch.cuda.mem_get_info(device)
        return has, free
    table = Path("/proc/meminfo")
    if device.type != "cpu" or not table.is_file():
        return None
    found = dict(line.split(":", 1) for line in table.read_text(encoding="utf-8").splitlines())
    has, free = (float(found[name].split()[0]) * _KB for name in ("MemTotal", "MemAvailable"))
    return has, free


def weigh(plan: TrainingPlan, base: Base, device: torch.device, world: int = 1) -> Estimate:
    """Estimate a plan for a base, which may be anywhere; PlanError where it does not fit (see `fits`)."""
    if plan.control.start_from is None:
        form = plan.control
        settings = ControlSettings(
            hint=form.hint,
            copy=form.extent,
            connect=form.connect,
            condition_channels=condition_channels(form, base),
        )
    else:
        settings = make_net(plan, base).settings
    return fits(plan, Estimator(base, settings, device.type, world), device, world)


def planned_for(plan: TrainingPlan) -> torch.device:
    """Return the device that a plan would run on: this machine's, or with `engine.memory` a GPU elsewhere."""
    if plan.device == "cpu" or not (torch.cuda.is_available() or plan.engine.memory):
        return torch.device("cpu")
    return torch.device("cuda")


def fits(
    plan: TrainingPlan, estimator: Callable[[TrainingPlan], Estimate], device: torch.device, world: int = 1
) -> Estimate:
    """Return the estimate of a plan; PlanError where the device, or `engine.memory`, has less than it needs.

    The error names the cheapest change with which it fits. Where the device has enough and others use it, a
    warning does.
    """
    estimate = estimator(plan)
    room = room_of(device) if plan.engine.memory is None else (plan.engine.memory * GB,) * 2
    if room is None:
        return estimate
    has, free = room
    if estimate.total > has:
        raise PlanError(
            f"this plan needs about {gb(estimate.total)} and {_of(plan, device)} has {gb(has)}; "
            f"{_mend(plan, estimator, device, world, has)}"
        )
    if estimate.total > free:
        log.warning(
            "this plan needs about %s and of %s, %s are free; end what else uses it, or %s",
            *(gb(estimate.total), gb(has), gb(free), _mend(plan, estimator, device, world, free)),
        )
    return estimate


def _of(plan: TrainingPlan, device: torch.device) -> str:
    return f"the device ({device})" if plan.engine.memory is None else "engine.memory"


def _mend(
    plan: TrainingPlan,
    estimator: Callable[[TrainingPlan], Estimate],
    device: torch.device,
    world: int,
    room: float,
) -> str:
    """Name the cheapest change with which a plan fits, or the one that brings it nearest."""
    least: tuple[float, tuple[str, ...]] | None = None
    for changes in mends(plan, device.type, world):
        total = estimator(plan.override(changes)).total
        if total <= room:
            return f"{_set(changes)} makes it {gb(total)}"
        if least is None or total < least[0]:
            least = total, changes
    if least is None:
        return "train at a smaller data.size or on a larger device"
    return (
        f"even {_set(least[1])} makes it {gb(least[0])}: train at a smaller data.size or on a larger device"
    )


def _set(changes: tuple[str, ...]) -> str:
    return " ".join(f"--set {change}" for change in changes)

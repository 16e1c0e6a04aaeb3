"""The ControlNet and the data that a plan asks for."""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from controlnet.backbones import Base
from controlnet.checkpoints import load_controlnet
from controlnet.core.controlnet import ControlNet
from controlnet.core.origin import Origin
from controlnet.data import Batch, Loader, Subset
from controlnet.errors import PlanError
from controlnet.training.engine import Engine
from controlnet.training.phases import Connect
from controlnet.training.plan import TrainingPlan
from controlnet.training.rng import generator
from controlnet.training.sections import Control
from controlnet.training.start import weights_of

PREFETCH: Final = 2  # batches read ahead, by as many threads


def make_net(plan: TrainingPlan, base: Base) -> ControlNet:
    """Return the ControlNet to begin with: cloned from the base, or a checkpoint whose training goes on.

    Raises PlanError where the plan asks for another form than the checkpoint has, CheckpointError for one
    that cannot be loaded or does not fit the base.
    """
    control = plan.control.model_copy(update={"connect": plan.stages[0].connect})
    if control.start_from is not None:
        return _started_from(weights_of(control.start_from), control, base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(plan.seed, "weights").initial_seed())
        return ControlNet.from_base(
            base,
            hint=control.hint,
            condition_channels=condition_channels(control, base),
            init=control.init,
            copy=control.extent,
            connect=control.connect,
            global_pool=control.global_pool,
        )


def condition_channels(plan: Control, base: Base) -> int:
    """Return the channels of what the hint encoder reads: a picture's, or those of the base's latents."""
    return base.latent_channels if plan.hint == "vae" else 3


def _started_from(source: str, plan: Control, base: Base) -> ControlNet:
    net = load_controlnet(source, base, torch.float32)
    net.origin = Origin.of(base)
    joined(net, plan.connect)
    have = net.settings
    wanted = {
        "hint": (plan.hint, have.hint),
        "copy": (plan.extent, have.copy),
        "connect": (plan.connect, have.connect),
        "global_pool": (plan.global_pool, have.global_pool),
    }
    unlike = [
        f"control.{key} is {want!r} and the checkpoint's {has!r}"
        for key, (want, has) in wanted.items()
        if want != has
    ]
    if unlike:
        raise PlanError(
            f"cannot start from {source}: {'; '.join(unlike)}; let the plan say what the checkpoint is"
        )
    return net


def resumed_net(path: Path, base: Base, fingerprint: str, connect: Connect) -> ControlNet:
    """Return the ControlNet of a state, joined as the phase wants it that goes on from there.

    fingerprint: the base's when it was loaded. PlanError where it is not the one that was trained with.
    """
    net = load_controlnet(path, base, torch.float32)
    if net.origin.fingerprint != fingerprint:
        raise PlanError(
            f"{path} was trained with the base {net.origin.name!r} ({net.origin.fingerprint}); got "
            f"{base.name!r} ({fingerprint}): restore it, or start a new run with control.start_from"
        )
    return joined(net, connect)


def joined(net: ControlNet, connect: Connect) -> ControlNet:
    """Join the taps that a ControlNet of the middle alone leaves out, where all are wanted."""
    if connect == "all" and net.settings.connect == "middle":
        net.relink()
    return net


def make_loader(
    plan: TrainingPlan,
    training: Subset,
    engine: Engine,
    groups: NDArray[np.int16] | None = None,
    shards: NDArray[np.int32] | None = None,
) -> Loader:
    """Return the endless stream of training batches, each process its share."""
    world = engine.num_processes
    if plan.optim.batch % world:
        raise PlanError(
            f"optim.batch is {plan.optim.batch} over {world} processes; wanted a multiple of {world}"
        )
    return Loader(
        training,
        plan.optim.batch // world,
        seed=plan.seed,
        accumulate=plan.optim.accumulation,
        rank=engine.process_index,
        world=world,
        prefetch=PREFETCH,
        groups=groups,
        shards=shards,
    )


def first_examples(held_out: Subset, count: int) -> Batch:
    """Return the first held-out examples, the same ones at every call."""
    return Loader(held_out, min(count, len(held_out)), shuffle=False, prefetch=0).batch(0)

"""The ControlNet, the data and the engine that a plan asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from numpy.typing import NDArray
from torch import nn

from controlnet.backbones import Base
from controlnet.checkpoints import load_controlnet
from controlnet.core.controlnet import ControlNet, Origin
from controlnet.data import Batch, Loader, Subset
from controlnet.errors import PlanError
from controlnet.training.phases import Connect
from controlnet.training.plan import TrainingPlan
from controlnet.training.rng import generator
from controlnet.training.sections import Control
from controlnet.training.start import weights_of

DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PREFETCH: Final = 2  # batches read ahead, by as many threads


@contextmanager
def engine_of(plan: TrainingPlan) -> Iterator[Accelerator]:
    """Start accelerate's engine: device, mixed precision, and processes where several were launched."""
    precision = "no" if plan.precision == "fp32" else plan.precision
    try:
        yield Accelerator(cpu=plan.device == "cpu", mixed_precision=precision)
    finally:
        # The engine keeps device and precision for the life of the process: the next run may want others.
        AcceleratorState._reset_state(reset_partial_state=True)


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
            init=control.init,
            copy=control.extent,
            connect=control.connect,
            global_pool=control.global_pool,
        )


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


def align(*modules: nn.Module) -> None:
    """Move every tensor of some modules to memory of its own.

    Tensors read from a file lie where the file has them, and kernels round differently by how memory is
    aligned. Without this a resumed run drifts from the uninterrupted one by the last bit (seen on a CPU).
    """
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data = tensor.data.clone()


def recompute_activations(*modules: nn.Module) -> None:
    """Let networks forget their activations and compute them again on the way back, block by block.

    The locked base needs them too: the gradient passes its decoder. PlanError for a network that cannot.
    """
    for module in modules:
        switch: Any = getattr(module, "enable_gradient_checkpointing", None)
        if switch is None:
            raise PlanError(
                f"optim.checkpointing is on and {type(module).__name__} cannot recompute its activations; "
                "switch it off"
            )
        switch()


def make_loader(
    plan: TrainingPlan,
    training: Subset,
    engine: Accelerator,
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

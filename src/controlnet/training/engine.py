"""The engine of a run: its processes and their device, the arithmetic of its passes, its gradients.

accelerate finds the device and the other processes, however they were launched (torchrun, `accelerate
launch`, a cluster's own way). Gradients are the mean over all processes: under DDP everyone keeps everything,
under FSDP2 each its part (`sharding`). float16 wants its loss scaled, so that small gradients do not vanish;
a step whose gradient overflows is skipped and the scale halved.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, Final, final

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from controlnet.core.controlnet import ControlNet
from controlnet.core.residuals import Residuals
from controlnet.training.plan import TrainingPlan
from controlnet.training.sharding import Whole, shard, synchronise, together

DTYPES: Final = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
# How long a process waits for another, which draws previews or fills its share of a cache. One that has died
# is noticed at once by what launched it.
PATIENCE: Final = timedelta(hours=4)
_LAUNCHED_SHARDED: Final = "ACCELERATE_USE_FSDP"


@contextmanager
def engine_of(plan: TrainingPlan) -> Iterator[Engine]:
    """Start the engine of a run, and end it."""
    # Taken from accelerate, which would divide the network its own way, on a CPU not at all.
    launched = os.environ.pop(_LAUNCHED_SHARDED, None)
    try:
        yield Engine(plan, launched == "true")
    finally:
        if launched is not None:
            os.environ[_LAUNCHED_SHARDED] = launched
        # accelerate keeps device and processes for the life of the process: the next run may want others.
        AcceleratorState._reset_state(reset_partial_state=True)


@final
class Engine:
    """Processes, device and arithmetic of a run; sharded: whether the launcher asked for FSDP2."""

    def __init__(self, plan: TrainingPlan, sharded: bool = False) -> None:
        self._processes = Accelerator(
            cpu=plan.device == "cpu",
            mixed_precision="no",
            kwargs_handlers=[
                DistributedDataParallelKwargs(gradient_as_bucket_view=True),  # else gradients take room twice
                InitProcessGroupKwargs(timeout=PATIENCE),
            ],
        )
        self.device: torch.device = self._processes.device
        asked = sharded if plan.engine.shard is None else plan.engine.shard
        self.sharded = asked and self.num_processes > 1
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=plan.precision == "fp16")
        self._dtype = DTYPES[plan.precision]

    @property
    def num_processes(self) -> int:
        """How many processes there are."""
        return self._processes.num_processes

    @property
    def process_index(self) -> int:
        """Which of them this is, from 0."""
        return self._processes.process_index

    @property
    def is_main_process(self) -> bool:
        """Whether this one leads: it measures, tells and writes."""
        return self._processes.is_main_process

    def main_process_first(self) -> AbstractContextManager[None]:
        """Let the process that leads go through a block before the others."""
        return self._processes.main_process_first()

    def wait(self) -> None:
        """Wait until all processes have come here."""
        self._processes.wait_for_everyone()

    def agreed(self, wish: bool) -> bool:
        """Tell whether any of the processes has this wish."""
        if wish:
            self._processes.set_trigger()
        return self._processes.check_trigger()

    def divide(self, net: ControlNet) -> Whole | None:
        """Divide a ControlNet among the processes where the plan wants it, before it gets an optimizer.

        Returns what puts it together again, None where it stays whole.
        """
        if not self.sharded:
            return None
        whole = Whole(net, self.is_main_process)
        shard(net, self.device, self.num_processes)
        return whole

    def join(self, net: ControlNet) -> Wrapped:
        """Return a ControlNet as the passes of training call it."""
        module: nn.Module = net if self.sharded else self._processes.prepare_model(net)
        return Wrapped(module, self.device.type, self._dtype)

    def forget(self) -> None:
        """Let go of what was joined, since another ControlNet will be."""
        self._processes.free_memory()

    def no_sync(self, wrapped: Wrapped) -> AbstractContextManager[None]:
        """Keep gradients to this process within the block: for all parts of a step but the last."""
        if self.sharded:
            return _kept_back(wrapped.module)
        return self._processes.no_sync(wrapped.module) if self.num_processes > 1 else nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Go back from a loss, scaled where the precision wants it."""
        self.scaler.scale(loss).backward()

    def clip(self, optimizer: torch.optim.Optimizer, largest: float) -> float:
        """Clip the gathered gradient to a norm, and return the norm that it had."""
        self.scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        return together(nn.utils.clip_grad_norm_(parameters, largest)).item()

    def update(self, optimizer: torch.optim.Optimizer) -> None:
        """Take an optimizer step along the gradient, unless it has overflown, and forget the gradient."""
        self.scaler.step(optimizer)
        self.scaler.update()
        optimizer.zero_grad()

    @property
    def skips_overflows(self) -> bool:
        """Whether an infinite gradient is no fault: float16 then skips the step and lowers its scale."""
        return self.scaler.is_enabled()

    def state(self) -> dict[str, Any]:
        """Return what a state of the run has to keep of the engine."""
        return {"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])

    def reduce(self, value: Tensor, reduction: str = "mean") -> Tensor:
        """Return the mean or the sum of a tensor over all processes."""
        found: Any = self._processes.reduce(value, reduction)
        return found

    def gather(self, value: Tensor) -> Tensor:
        """Return the rows of all processes, theirs in the order of their numbers."""
        found: Any = self._processes.gather(value)
        return found


@final
class Wrapped:
    """A ControlNet in the hands of the engine: called in the precision of the passes, gradients gathered."""

    def __init__(self, module: nn.Module, device: str, dtype: torch.dtype) -> None:
        self.module, self._device, self._dtype = module, device, dtype

    def __call__(self, *inputs: Any) -> Residuals:
        """Call the ControlNet; its residuals may be of the lower precision."""
        with torch.autocast(self._device, self._dtype, enabled=self._dtype != torch.float32):
            return self.module(*inputs)


@contextmanager
def _kept_back(net: nn.Module) -> Iterator[None]:
    synchronise(net, False)
    try:
        yield
    finally:
        synchronise(net, True)

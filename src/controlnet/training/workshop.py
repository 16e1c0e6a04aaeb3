"""What a run works with and the little that is done to it: a pass, an update, a state."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

import torch

from controlnet.backbones import Base, load_base
from controlnet.checkpoints import load_controlnet, save_controlnet
from controlnet.core.controlnet import ControlNet
from controlnet.data import Batch
from controlnet.training.bands import Pass
from controlnet.training.caching import Moved, choose, fill, folder_of, name_of
from controlnet.training.disk import Disk
from controlnet.training.ema import Ema
from controlnet.training.engine import DTYPES, Engine
from controlnet.training.frozen import Frozen, remembers
from controlnet.training.layout import align, channels_last, compile_blocks, recompute_activations
from controlnet.training.optim import make_optimizer
from controlnet.training.plan import TrainingPlan
from controlnet.training.room import weigh
from controlnet.training.setup import make_loader, make_net, resumed_net
from controlnet.training.source import groups_of, open_data, open_pictures, shards_of
from controlnet.training.state import load_optimizer, moments_of, read, save_optimizer
from controlnet.training.step import Draws, control_loss, loss_weight

log = logging.getLogger(__name__)

NET: Final = "controlnet.safetensors"
EMA: Final = "ema.safetensors"
OPTIMIZER: Final = "optimizer.safetensors"


class Workshop:
    """Base, ControlNet, running mean, optimizer, data and engine of a run, as they were at its last state."""

    def __init__(self, plan: TrainingPlan, engine: Engine, place: Path | None, weighs: bool = False) -> None:
        """Build everything; `place` is the state to go on from, None at the beginning of a run.

        weighs: estimate the memory first, and refuse a plan that does not fit.
        """
        self.plan, self.engine = plan, engine
        self.base = load_base(plan.base)
        if weighs:
            estimate = weigh(plan, self.base, engine.device, engine.num_processes)
            for line in estimate.lines() if engine.is_main_process else ():
                log.info(line)
        self._disk: Disk | None = None
        # The ControlNet is made, and stays, in single precision; only then is the base brought to its own.
        net = make_net(plan, self.base) if place is None else resumed_net(place / NET, self.base)
        self.net = net.to(engine.device, torch.float32).train()
        align(self.net)
        self._placed(self.base)
        recompute_activations(self.net, self.base.network, plan.optim.checkpointing)
        if plan.engine.channels_last:
            channels_last(self.net)
        if plan.engine.compile:
            compile_blocks(self.net.copy, self.base.network)
        self._whole = engine.divide(self.net)
        self.size = plan.data.size or self.base.sample_size

        optimizer = make_optimizer(self.net, plan.optim)
        self.ema = None if plan.ema.decay is None else Ema(self.net, plan.ema.decay)
        if place is not None:
            load_optimizer(optimizer, place / OPTIMIZER)
            if self.ema is not None:
                self.ema.load(load_controlnet(place / EMA))
            engine.resume(read(place))
        self._wrapped, self.optimizer = engine.join(self.net), optimizer

        remember = remembers(plan.data, self.base, self.size, plan.data.count or 0)
        training, self.held_out = open_data(plan.data, self.size, remember)
        examples = len(training) + len(self.held_out)
        cache = choose(plan, self.base, self.size, examples)
        if cache == "disk":
            self._disk = Disk(self.base, folder_of(plan.data), lambda: self._placed(load_base(plan.base)))
        self.frozen = Frozen(self.base, self.size, cache == "memory", self._disk)
        groups = groups_of(plan.data, self.size, training)
        self.loader = make_loader(plan, training, engine, groups, shards_of(training))

    def fill_cache(self, moved: Moved) -> bool:
        """Fill the cache on the disk, where the run has one, and let the encoders leave memory.

        Returns False where `moved` has asked to stop; what is done by then is kept.
        """
        if self._disk is None:
            return True
        name, flip = name_of(self.plan.data, self.size), self.plan.data.flip
        pictures = open_pictures(self.plan.data, self.size)
        share = self.engine.process_index, self.engine.num_processes
        done = fill(self._disk, self.frozen, pictures, name, flip, share, moved)
        if self.agreed(not done):
            return False
        self._disk.refresh()
        if self.engine.is_main_process:
            self._disk.mark(name)
        watch = self.plan.watch
        self._disk.dismiss(decodes=watch.preview_every > 0 or bool(watch.adherence and watch.adherence_every))
        return True

    def run_pass(self, batch: Batch, step: int, part: int) -> Pass:
        """Run one batch forwards and backwards, and return the losses of its samples, of all processes."""
        share = slice(
            self.loader.rank * self.loader.batch_size, (self.loader.rank + 1) * self.loader.batch_size
        )
        height, width = (side // self.base.downscale for side in batch.size)
        shape = (self.plan.optim.batch, self.base.latent_channels, height, width)
        drawn = Draws.of(
            self.plan.objective, self.base.objective.timesteps, shape, self.plan.seed, step, part
        )
        draws = drawn[share]
        inputs = self.frozen.inputs(batch, draws)
        noise, timestep = (part.to(self.engine.device) for part in (draws.noise, draws.timestep))
        last = part == self.plan.optim.accumulation - 1
        with nullcontext() if last else self.engine.no_sync(self._wrapped):
            weight = loss_weight(self.base.objective, self.plan.objective, timestep, inputs.mask)
            losses = control_loss(self.base, self._wrapped, inputs, noise, timestep, weight)
            self.engine.backward(losses.mean() / self.plan.optim.accumulation)
        return Pass(self.engine.gather(losses.detach()), drawn.timestep)

    def gradient_norm(self) -> float:
        """Clip the gathered gradient, and return the norm that it had."""
        return self.engine.clip(self.optimizer, self.plan.optim.clip or float("inf"))

    @property
    def skips_overflows(self) -> bool:
        """Whether an infinite gradient is no fault: float16 then skips the step and lowers its scale."""
        return self.engine.skips_overflows

    def update(self, step: int) -> None:
        """Take an optimizer step along the gathered gradient."""
        self.engine.update(self.optimizer)
        if self.ema is not None:
            self.ema.update(self.net, step)

    def agreed(self, wish: bool) -> bool:
        """Tell whether any of the processes has this wish."""
        return self.engine.agreed(wish)

    def gather(self) -> None:
        """Put a divided ControlNet together where it is measured and written; all processes call it."""
        if self._whole is not None:
            self._whole.gather("net", dict(self.net.named_parameters()))
            self._whole.gather("ema", {} if self.ema is None else self.ema.mean)
            self._whole.gather("optimizer", moments_of(self.optimizer))

    @contextmanager
    def delivered(self) -> Iterator[ControlNet]:
        """Let the ControlNet have the weights that the run delivers: the running mean, where there is one."""
        if self._whole is not None:
            yield self._whole.net("net" if self.ema is None else "ema")
            return
        with nullcontext() if self.ema is None else self.ema.applied(self.net):
            yield self.net

    @contextmanager
    def evaluation(self) -> Iterator[ControlNet]:
        """Give the ControlNet as it would be delivered, in evaluation mode and without gradients."""
        with self.delivered() as net, torch.no_grad():
            net.eval().to(self.engine.device)
            try:
                yield net
            finally:
                net.train()
                if self._whole is not None:
                    net.to("cpu")

    def save_weights(self, path: Path, step: int) -> None:
        """Write the ControlNet as it is to be delivered, with the plan that made it."""
        with self.delivered() as net:
            save_controlnet(net, path, metadata=self._provenance(step))

    def save_state(self, folder: Path, step: int) -> Mapping[str, Any]:
        """Write all that a state needs into a folder, and return what goes into its state.json."""
        net = self.net if self._whole is None else self._whole.net("net")
        save_controlnet(net, folder / NET, metadata=self._provenance(step))
        if self.ema is not None:
            self.save_weights(folder / EMA, step)
        whole = self._whole
        save_optimizer(
            moments_of(self.optimizer) if whole is None else whole.tensors("optimizer"), folder / OPTIMIZER
        )
        return self.engine.state()

    def _placed(self, base: Base) -> Base:
        """Bring a base to its device and precision, aligned, so that it computes the same bits every time."""
        base.to(self.engine.device, DTYPES[self.plan.engine.base or self.plan.precision])
        align(base.network, base.vae, *base.text_encoders)
        if self.plan.engine.channels_last:
            channels_last(base.network, base.vae)
        return base

    def _provenance(self, step: int) -> dict[str, Any]:
        # Where the run was kept is nobody's business who is given the weights.
        return {"plan": self.plan.model_copy(update={"out": None}).values(), "step": step}

"""What a run works with and the little that is done to it: a pass, an update, a state."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from controlnet.backbones import Base, load_base
from controlnet.checkpoints import load_controlnet, save_controlnet
from controlnet.checkpoints.decoder import FILE as DECODER
from controlnet.checkpoints.decoder import decoder_of
from controlnet.core.controlnet import ControlNet
from controlnet.data import Batch
from controlnet.training.bands import Pass
from controlnet.training.caching import Moved, choose, fill, folder_of, name_of
from controlnet.training.decoder import Decoder, original
from controlnet.training.disk import Disk
from controlnet.training.ema import Ema
from controlnet.training.engine import DTYPES, Engine
from controlnet.training.frozen import Frozen, remembers
from controlnet.training.layout import align, channels_last, compile_blocks, recompute_activations
from controlnet.training.optim import make_optimizer
from controlnet.training.plan import TrainingPlan
from controlnet.training.room import weigh
from controlnet.training.setup import joined, make_loader, make_net, resumed_net
from controlnet.training.source import groups_of, open_data, open_pictures, shards_of
from controlnet.training.start import EMA, NET, weights_of
from controlnet.training.state import load_optimizer, moments_of, read, save_optimizer
from controlnet.training.step import Draws, control_loss, loss_weight

log = logging.getLogger(__name__)

OPTIMIZER: Final = "optimizer.safetensors"
EMA_DECODER: Final = f"ema_{DECODER}"


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
        self._fingerprint, self._decoder_was = self.base.fingerprint(), None
        self._disk: Disk | None = None
        self._build(place)
        self.size = plan.data.size or self.base.sample_size

        remember = remembers(plan.data, self.base, self.size, plan.data.count or 0)
        training, self.held_out = open_data(plan.data, self.size, remember)
        examples = len(training) + len(self.held_out)
        cache = choose(plan, self.base, self.size, examples)
        if cache == "disk":
            self._disk = Disk(self.base, folder_of(plan.data), lambda: self._placed(load_base(plan.base)))
        self.frozen = Frozen(
            self.base, self.size, cache == "memory", self._disk, reads_latents=self.net.settings.reads_latents
        )
        groups = groups_of(plan.data, self.size, training)
        self.loader = make_loader(plan, training, engine, groups, shards_of(training))

    def _build(self, place: Path | None) -> None:
        """Make what is trained, and its optimizer, as the phase wants them in which the run goes on."""
        plan, engine = self.plan, self.engine
        self.phase = 0 if place is None else int(read(place).get("phase", 0))  # a state's: after it
        self.stage = plan.stages[self.phase]
        # The ControlNet is made, and stays, in single precision; only then is the base brought to its own.
        if place is None:
            net = make_net(plan, self.base)
        else:
            net = resumed_net(place / NET, self.base, self._fingerprint, self.stage.connect)
        self.net = net.to(engine.device, torch.float32).train()
        align(self.net)
        self.decoder = self._decoder(place)
        recompute_activations(self.net, self.base.network, plan.optim.checkpointing)
        if plan.engine.channels_last:
            channels_last(self.net)
        if plan.engine.compile:
            compile_blocks(self.net.copy, self.base.network)
        self._whole = engine.divide(self.net)

        unlocked = [] if self.decoder is None else self.decoder.trained
        self.optimizer = make_optimizer(self.net, self.stage.optim, unlocked)
        known = {id(p): name for name, p in self.net.named_parameters()}
        known |= {} if self.decoder is None else self.decoder.names
        self._names = [known[id(p)] for group in self.optimizer.param_groups for p in group["params"]]
        self.ema = None if plan.ema.decay is None else Ema(self.net, plan.ema.decay)
        if place is not None:
            load_optimizer(self.optimizer, place / OPTIMIZER, self._names)
            if self.ema is not None:
                self.ema.load(joined(load_controlnet(place / EMA), self.stage.connect))
            engine.resume(read(place))
        self._wrapped = engine.join(self.net)

    def _decoder(self, place: Path | None) -> Decoder | None:
        """Bring the base to its place, and its decoder to what the phase wants of it; None: as it is."""
        plan, engine = self.plan, self.engine
        if place is not None:
            file = place / DECODER if (place / DECODER).is_file() else None
        else:
            start = plan.control.start_from
            file = None if start is None else decoder_of(weights_of(start))
        unlocks = any(stage.unlock == "decoder" for stage in plan.stages)
        if self._decoder_was is None and (unlocks or file is not None):
            self._decoder_was = original(self.base)
        self._placed(self.base)
        trains = self.stage.unlock == "decoder"
        if self._decoder_was is None or not (trains or file is not None):
            return None
        found = Decoder(self.base, self._decoder_was, file, trains, plan.ema.decay, engine)
        if place is not None and (place / EMA_DECODER).is_file():
            found.load_mean(place / EMA_DECODER)
        return found

    def next_phase(self, state: Path) -> None:
        """Begin the phase that goes on from a state, as a run does that is resumed there."""
        del self.net, self.decoder, self.ema, self._wrapped, self._whole, self.optimizer
        self.engine.forget()
        self._build(state)

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
        if self.decoder is not None:
            self.decoder.gather()
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
        if self.decoder is not None:
            self.decoder.update_mean(step)

    def agreed(self, wish: bool) -> bool:
        """Tell whether any of the processes has this wish."""
        return self.engine.agreed(wish)

    def gather(self) -> None:
        """Put a divided ControlNet together where it is measured and written; all processes call it."""
        if self._whole is not None:
            self._whole.gather("net", dict(self.net.named_parameters()))
            self._whole.gather("ema", {} if self.ema is None else self.ema.mean)
            self._whole.gather("optimizer", moments_of(self.optimizer, self._names))

    @contextmanager
    def delivered(self) -> Iterator[ControlNet]:
        """Let the ControlNet have the weights that the run delivers: the running mean, where there is one."""
        if self._whole is not None:
            yield self._whole.net("net" if self.ema is None else "ema")
            return
        with (
            nullcontext() if self.ema is None else self.ema.applied(self.net),
            nullcontext() if self.decoder is None else self.decoder.delivered(),
        ):
            yield self.net

    def as_loaded(self) -> AbstractContextManager[None]:
        """Let the base be as it was loaded, where a phase has changed it."""
        return nullcontext() if self.decoder is None else self.decoder.as_loaded()

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
        """Write what is delivered: the ControlNet, with the plan that made it, and a changed decoder."""
        with self.delivered() as net:
            self._write(net, path, step)

    def save_state(self, folder: Path, step: int) -> Mapping[str, Any]:
        """Write all that a state needs into a folder, and return what goes into its state.json."""
        whole = self._whole
        self._write(self.net if whole is None else whole.net("net"), folder / NET, step)
        if self.ema is not None:
            self.save_weights(folder / EMA, step)
        moments = moments_of(self.optimizer, self._names) if whole is None else whole.tensors("optimizer")
        save_optimizer(moments, folder / OPTIMIZER)
        return {**self.engine.state(), **({"phase": self.phase} if self.plan.phases else {})}

    def _write(self, net: ControlNet, path: Path, step: int) -> None:
        """Write ControlNet and decoder as they are now; the former says which one the latter is."""
        metadata = self._provenance(step)
        if self.decoder is not None:
            mean = path.name == EMA and self.decoder.trains
            place = path.with_name(EMA_DECODER if mean else DECODER)
            made = self.decoder.save(place, net.origin, metadata)
            net.origin = replace(net.origin, decoder=made)
        save_controlnet(net, path, metadata=metadata)

    def _placed(self, base: Base) -> Base:
        """Bring a base to its device and precision, aligned, so that it computes the same bits every time."""
        base.to(self.engine.device, DTYPES[self.plan.engine.base or self.plan.precision])
        align(base.network, base.vae, *base.text_encoders)
        if self.plan.engine.channels_last:
            channels_last(base.network, base.vae)
        return base

    def _provenance(self, step: int) -> dict[str, Any]:
        # Where the run was kept is nobody's business who is given the weights.
        plan = self.plan.model_copy(update={"out": None}).values()
        return {"plan": plan, "step": step, **(self.stage.told() if self.plan.phases else {})}

"""How much memory a plan needs, told before its first step, and what fits a device that has less.

Weights, gradients and moments are counted, activations and pictures rehearsed (`rehearsal`). Left out, for it
cannot be known beforehand: what kernels take while they run, and what the allocator loses between tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from controlnet.backbones import Base
from controlnet.core.settings import ControlSettings
from controlnet.training.frozen import bytes_each, remembers
from controlnet.training.plan import TrainingPlan
from controlnet.training.rehearsal import Rehearsal

GB: Final = 1e9
# What stays beside all tensors: interpreter and libraries (on a CPU, measured: docs/training.md), or what
# CUDA keeps for itself, which is a guess: no GPU was at hand.
PROGRAM: Final = {"cpu": 0.6 * GB}
CONTEXT: Final = 0.6 * GB
_EIGHT_BITS: Final = 2 * (1 + 4 / 256)  # bytes a parameter: two moments, and a scale for each 256 of either


@final
@dataclass(frozen=True)
class Estimate:
    """Bytes on each device: `parts` by name, and the `most` at one time in each stretch of a run."""

    parts: Mapping[str, float]
    most: Mapping[str, float]
    device: str

    @property
    def total(self) -> float:
        """What the device must have."""
        return max(self.most.values())

    def lines(self) -> list[str]:
        """Return the estimate as text, its total first."""
        stretch = max(self.most, key=lambda name: self.most[name])
        rows = [f"  {name:<16}{size / GB:6.2f} GB" for name, size in self.parts.items() if size]
        return [
            f"this plan needs about {gb(self.total)} on {self.device}, most of it while {stretch}:",
            *rows,
        ]


@final
class Estimator:
    """Estimates plans for one base; world: over so many processes."""

    def __init__(
        self,
        base: Base,
        settings: ControlSettings,
        device: str,
        world: int = 1,
    ) -> None:
        self._base, self._device, self._world = base, device, world
        self._rehearsal = Rehearsal(base, settings)

    def __call__(self, plan: TrainingPlan) -> Estimate:
        """Return what a plan needs on each device."""
        size, world = plan.data.size or self._base.sample_size, self._world
        seen = self._rehearsal(plan, self._device, max(1, plan.optim.batch // world), size)
        shares = world if plan.engine.shard else 1
        gradients = seen.trained / shares
        moments = gradients * (_EIGHT_BITS / 4 if plan.optim.kind == "adamw8bit" else 2)
        mean = 0 if plan.ema.decay is None else gradients
        remembered = self._remembered(plan, size)
        # A decoder that is trained along is kept as it was, too, by the processor.
        loaded = seen.trained - seen.net if self._device == "cpu" else 0
        # Under FSDP2 a block is there whole while it works, and the next one comes meanwhile.
        whole = 2 * seen.block if shares > 1 else 0
        surroundings = 0 if plan.data.cache == "disk" else seen.surroundings
        weights = seen.base + seen.net / shares + surroundings
        stays = self._program + weights + moments + mean + remembered + loaded
        # Gradients grow while activations go, unless they are there before: of an earlier part, for DDP.
        there = plan.optim.accumulation > 1 or world > 1
        passing = gradients + seen.activations if there else seen.step
        updating = gradients + self._updating(plan, gradients, seen.largest)
        draws = plan.watch.preview_every or (plan.watch.adherence and plan.watch.adherence_every)
        drawing = seen.drawing + mean + (seen.net if shares > 1 else 0) if draws else 0
        most = {"a step is computed": passing + whole, "weights are updated": updating}
        most |= {"previews are drawn": drawing, "pictures are encoded": seen.encoding}
        parts = {
            "base": seen.base,
            "surroundings": surroundings,
            "ControlNet": seen.net / shares,
            "gradients": gradients,
            "optimizer": moments,
            "running mean": mean,
            "decoder as it was": loaded,
            "activations": seen.activations,
            "previews": drawing,
            "cache": remembered,
            "program": self._program,
        }
        return Estimate(parts, {name: stays + size for name, size in most.items()}, self._device)

    def _remembered(self, plan: TrainingPlan, size: int) -> float:
        """Return what the cache takes; on GPUs it is elsewhere, and a folder's examples are not counted."""
        examples = plan.data.count or 0
        if self._device != "cpu" or not remembers(plan.data, self._base, size, examples):
            return 0
        return examples * (bytes_each(plan.data, self._base, size) + 2 * 3 * size**2)

    def _updating(self, plan: TrainingPlan, trained: float, largest: float) -> float:
        """Return what AdamW takes while it works: nothing, two tensors, or all of one kind at once."""
        if plan.optim.fused or plan.optim.kind != "adamw":
            return 0
        return 2 * largest if self._device == "cpu" else trained

    @property
    def _program(self) -> float:
        return PROGRAM.get(self._device, CONTEXT)


def gb(size: float) -> str:
    """Write bytes as gigabytes, 10⁹."""
    return f"{size / GB:.1f} GB"


def mends(plan: TrainingPlan, device: str, world: int = 1) -> Iterator[tuple[str, ...]]:
    """Give changes that make a plan smaller, the cheapest first, then more and more of them together.

    Ordered by what they cost in time, as docs/training.md has it; none changes what is learnt but
    `engine.base`, which rounds the base, and `adamw8bit`, which rounds the moments.
    """
    steps: list[tuple[str, ...]] = []
    if not plan.optim.fused and plan.optim.kind == "adamw":
        steps.append(("optim.fused=true",))
    if world > 1 and not plan.engine.shard and plan.optim.kind == "adamw" and not plan.engine.channels_last:
        steps.append(("engine.shard=true",))
    batch, parts = plan.optim.batch, plan.optim.accumulation
    while batch % 2 == 0 and (batch // 2) % world == 0:
        batch, parts = batch // 2, parts * 2
        steps.append((f"optim.batch={batch}", f"optim.accumulation={parts}"))
    if plan.optim.checkpointing is False:
        steps += [("optim.checkpointing=copy",), ("optim.checkpointing=true",)]
    elif plan.optim.checkpointing is not True:
        steps.append(("optim.checkpointing=true",))
    if device != "cpu" and (plan.engine.base or plan.precision) == "fp32":
        steps.append(("engine.base=bf16",))
    if plan.optim.kind == "adamw" and not plan.engine.shard and device == "cuda":
        steps.append(("optim.kind=adamw8bit",))
    yield from steps
    together: dict[str, str] = {}
    for step in steps:
        together |= dict(change.split("=", 1) for change in step)
        if together.get("optim.kind") == "adamw8bit":
            together.pop("engine.shard", None)
        yield tuple(f"{key}={value}" for key, value in together.items())

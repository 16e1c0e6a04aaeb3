"""What a training step of a ControlNet costs beside one that fine-tunes the whole base.

The paper (section 3.3) needs 23 % more memory and 34 % more time for Stable Diffusion on an A100 than tuning
Stable Diffusion itself. Both steps here: cached latents and contexts, the same batch, AdamW in single
precision. What is expected of the time is the ratio of the floating-point operations, counted, give or take
a fifth: the ControlNet's step runs the encoder twice but goes back through one of the two only, and through
the decoder without gradients of its weights. The memory counts tensors, whatever the allocator keeps: weights
of U-Net and copy, gradients, the optimizer's state and, most of it, activations.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import controlnet as cn
from benchmarks.frame import Figure, Report, about, in_turns, median, operations, ratio
from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.training.step import Inputs, control_loss

Step = Callable[[], object]
PAPER_TIME, PAPER_MEMORY = 1.34, 1.23


class Trial:
    """One batch of cached latents, and the two ways to learn from it."""

    def __init__(self, source: str = "shapes", batch: int = 8) -> None:
        chance = torch.Generator().manual_seed(0)
        self.locked, tuned = cn.load_base(source), cn.load_base(source)
        side = self.locked.sample_size
        shape = (
            batch,
            self.locked.latent_channels,
            side // self.locked.downscale,
            side // self.locked.downscale,
        )
        self.inputs = Inputs(
            latents=torch.randn(shape, generator=chance),
            context=self.locked.encode_prompts(["a red cube on a sand floor"] * batch),
            condition=torch.rand((batch, 3, side, side), generator=chance),
        )
        self.noise = torch.randn(shape, generator=chance)
        self.timestep = torch.randint(self.locked.objective.timesteps, (batch,), generator=chance)
        self.net = ControlNet.from_base(self.locked, hint="unshuffle").train()
        self.network = tuned.network.requires_grad_(True).train()

    def control(self) -> Step:
        """Return the step of the ControlNet, the base locked."""
        return _step(self.net, lambda: control_loss(self.locked, self.net, *self._batch()))

    def finetune(self) -> Step:
        """Return the step of the whole base."""
        return _step(self.network, lambda: base_loss(self.locked, self.network, *self._batch()))

    def weights(self, step: str) -> int:
        """Count the bytes of the weights that a step needs, locked ones included."""
        kept = [self.locked.network, self.net] if step == "control" else [self.network]
        return sum(p.numel() * p.element_size() for module in kept for p in module.parameters())

    def _batch(self) -> tuple[Inputs, Tensor, Tensor]:
        return self.inputs, self.noise, self.timestep


def base_loss(base: Base, network: nn.Module, inputs: Inputs, noise: Tensor, timestep: Tensor) -> Tensor:
    """Return each sample's loss of a network by itself, without control."""
    x = base.objective.add_noise(inputs.latents, noise, timestep)
    prediction = cn.denoise(network, x, timestep, inputs.context, None)
    return base.objective.loss(prediction, base.objective.target(inputs.latents, noise, timestep))


def _step(module: nn.Module, loss: Callable[[], Tensor]) -> Step:
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5)

    def step() -> None:
        loss().mean().backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def peak(step: Step) -> int:
    """Return the most bytes of tensors that two first steps have beyond what was there before them."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        step()
        step()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        watched.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    changes = sorted(
        (e["ts"], e["args"]["Ev Idx"], e["args"]["Bytes"]) for e in events if e["name"] == "[memory]"
    )
    now = most = 0
    for _, _, change in changes:
        now += change
        most = max(most, now)
    return most


def measure(repeats: int = 7, source: str = "shapes", batch: int = 8) -> Report:
    """Compare the two steps: time in turns, memory by the allocator's records, arithmetic by counting."""
    trial = Trial(source, batch)
    steps = {"control": trial.control(), "finetune": trial.finetune()}
    memory = {name: trial.weights(name) + peak(step) for name, step in steps.items()}
    counted = {name: operations(step) for name, step in steps.items()}
    taken = in_turns(steps, repeats)
    arithmetic = counted["control"] / counted["finetune"]
    return Report(
        "training_step",
        f"What does a training step cost (batch {batch}, cached latents) beside tuning the whole base?",
        [
            Figure("ControlNet", median(taken["control"]) * 1e3, "ms a step"),
            Figure("the whole base", median(taken["finetune"]) * 1e3, "ms a step"),
            Figure("floating-point operations, ControlNet / base", arithmetic, "×"),
            Figure(
                "time, ControlNet / base",
                ratio(taken["control"], taken["finetune"]),
                "×",
                about(arithmetic),
                f"operations; the paper has {PAPER_TIME} on an A100",
            ),
            Figure("peak memory, ControlNet", memory["control"] / 2**20, "MiB"),
            Figure("peak memory, the whole base", memory["finetune"] / 2**20, "MiB"),
            Figure(
                "peak memory, ControlNet / base",
                memory["control"] / memory["finetune"],
                "×",
                (0.8, PAPER_MEMORY),
                f"prediction; the paper has {PAPER_MEMORY}",
            ),
        ],
    )

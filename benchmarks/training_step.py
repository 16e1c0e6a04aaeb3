"""What a training step of a ControlNet costs beside one of the whole base, and with the middle link alone.

The paper (section 3.3) needs 23 % more memory and 34 % more time for Stable Diffusion on an A100 than tuning
Stable Diffusion itself, and is about 1.6 times as fast with the middle connection alone. All steps here:
cached latents and contexts, the same batch, AdamW (fused, as in our trainer) in single precision. What
is expected of the time is the ratio of the floating-point operations, counted, give or take a fifth: the
ControlNet's step runs the encoder twice but goes back through one of the two only, and through the decoder
without gradients of its weights; without the connections to the decoder it still has to go back through it to
the middle. The memory counts tensors, whatever the allocator keeps: weights of U-Net and copy, gradients, the
optimizer's state and, most of it, activations. docs/evidence.md has what came of it.

    python -m benchmarks training_step          the embedded base
    python -m benchmarks.training_step          operations of Stable Diffusion 1.5's architecture
    python -m benchmarks training_step_sd15     Stable Diffusion 1.5's architecture, up to 16 GB
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import process_time

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

import controlnet as cn
from benchmarks.frame import Figure, Report, about, in_turns, median, operations, ratio
from benchmarks.processes import Taken, in_processes
from benchmarks.random_base import UNET, write_base
from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.core.hint import HintForm
from controlnet.training.step import Inputs, control_loss

Step = Callable[[], object]
PAPER_TIME, PAPER_MEMORY, PAPER_MIDDLE = 1.34, 1.23, 1.6
KINDS = ("control", "middle", "finetune")
TITLES = {"control": "ControlNet", "middle": "ControlNet, the middle alone", "finetune": "the whole base"}


class Trial:
    """One batch of cached latents, and one way to learn from it; only what that needs is in memory.

    kind: the ControlNet, its base locked; the same with the middle connection alone; or the whole base.
    """

    def __init__(
        self,
        kind: str = "control",
        source: str = "shapes",
        batch: int = 8,
        side: int | None = None,
        hint: HintForm = "unshuffle",
    ) -> None:
        chance = torch.Generator().manual_seed(0)
        self.kind, self.base = kind, cn.load_base(source)
        side = side or self.base.sample_size
        latent = side // self.base.downscale
        shape = (batch, self.base.latent_channels, latent, latent)
        self.inputs = Inputs(
            latents=torch.randn(shape, generator=chance),
            context=self.base.encode_prompts(["a red cube on a sand floor"] * batch),
            condition=torch.rand((batch, 3, side, side), generator=chance),
        )
        self.noise = torch.randn(shape, generator=chance)
        self.timestep = torch.randint(self.base.objective.timesteps, (batch,), generator=chance)
        for part in (self.base.vae, *self.base.text_encoders):
            part.to("meta")  # all is encoded
        self.net: ControlNet | None = None
        self.trained = self.base.network.requires_grad_(True).train()
        if kind != "finetune":
            connect = "middle" if kind == "middle" else "all"
            self.net = ControlNet.from_base(self.base, hint=hint, connect=connect).train()
            self.trained = self.net

    def step(self) -> Step:
        """Return the step."""
        parameters = [p for p in self.trained.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)

        def step() -> None:
            self.loss().mean().backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()

        return step

    def loss(self) -> Tensor:
        """Return each sample's loss."""
        drawn = self.inputs, self.noise, self.timestep
        if self.net is None:
            return base_loss(self.base, self.base.network, *drawn)
        return control_loss(self.base, self.net, *drawn)

    def weights(self) -> int:
        """Count the bytes of the weights that the step needs, locked ones included."""
        kept = [self.base.network] if self.net is None else [self.base.network, self.net]
        return sum(p.numel() * p.element_size() for module in kept for p in module.parameters())

    def fuse(self, fused: bool) -> None:
        """Choose the fused optimizer, or torch's default on a CPU, for the steps to come."""
        for group in self.optimizer.param_groups:
            group["fused"] = fused or None


def base_loss(base: Base, network: nn.Module, inputs: Inputs, noise: Tensor, timestep: Tensor) -> Tensor:
    """Return each sample's loss of a network by itself, without control."""
    x = base.objective.add_noise(inputs.latents, noise, timestep)
    prediction = cn.denoise(network, x, timestep, inputs.context, None)
    return base.objective.loss(prediction, base.objective.target(inputs.latents, noise, timestep))


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
    """Compare the steps: time in turns, memory by the allocator's records, arithmetic by counting."""
    trials = {kind: Trial(kind, source, batch) for kind in KINDS}
    steps = {kind: trial.step() for kind, trial in trials.items()}
    memory = {kind: trials[kind].weights() + peak(step) for kind, step in steps.items()}
    counted = {kind: operations(step) for kind, step in steps.items()}
    taken = in_turns(steps, repeats, clock=process_time)
    arithmetic = counted["control"] / counted["finetune"]
    return Report(
        "training_step",
        f"What does a training step cost (batch {batch}, cached latents) beside tuning the whole base?",
        [
            *(Figure(TITLES[kind], median(taken[kind]) * 1e3, "ms of the processor") for kind in KINDS),
            Figure("floating-point operations, ControlNet / base", arithmetic, "×"),
            Figure(
                "time, ControlNet / base",
                ratio(taken["control"], taken["finetune"]),
                "×",
                about(arithmetic),
                f"operations; the paper has {PAPER_TIME} on an A100",
            ),
            Figure(
                "time, all connections / the middle one",
                ratio(taken["control"], taken["middle"]),
                "×",
                about(counted["control"] / counted["middle"]),
                f"operations; the paper has {PAPER_MIDDLE} on an RTX 3070 Ti",
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


def counted_sd15(side: int, published: bool = False) -> dict[str, int]:
    """Count the operations of a pass forwards and backwards of each kind, batch 1, without weights.

    published: as the paper's published code has it, which locks the decoder by leaving it out of the
    optimizer alone, so that gradients of its weights are computed, and recomputes all activations.
    """

    def count(kind: str) -> int:
        network = UNet2DConditionModel(**UNET)
        x, tokens = torch.rand(1, 4, side // 8, side // 8), torch.rand(1, 77, 768)
        timestep, condition = torch.zeros(1, dtype=torch.long), torch.rand(1, 3, side, side)
        net = None
        if kind != "finetune":
            net = ControlNet.from_base(network, connect="middle" if kind == "middle" else "all")
        if published:
            network.up_blocks.requires_grad_(True)
            for module in (network,) if net is None else (network, net.copy):
                module.enable_gradient_checkpointing()  # pyright: ignore[reportCallIssue]

        def step() -> None:
            residuals = None if net is None else net(x, timestep, tokens, condition)
            cn.denoise(network, x, timestep, tokens, residuals).sum().backward()

        return operations(step)

    with torch.device("meta"):
        return {kind: count(kind) for kind in KINDS}


def measure_sd15(repeats: int = 2, side: int = 256, count: int = 2, kinds: Sequence[str] = KINDS) -> Report:
    """Compare on Stable Diffusion 1.5's architecture, batch 1, each step in a process of its own, in turns.

    Each process has steps with torch's default AdamW on a CPU, then with the fused one.
    """
    with tempfile.TemporaryDirectory() as place:
        source = str(write_base(Path(place) / "base"))
        settings = {"source": source, "batch": 1, "side": side, "hint": "published", "count": count}
        taken = in_processes(kinds, repeats, **settings)
    return Report(
        "training_step_sd15",
        f"The same on Stable Diffusion 1.5's architecture with random weights ({side}², batch 1)",
        figures(taken, counted_sd15(side)),
    )


def figures(taken: Mapping[str, Sequence[Taken]], counted: Mapping[str, int]) -> list[Figure]:
    """Compare processes by turns: processor time with AdamW plain (as torch has it) and fused; memory."""
    plain = {kind: [median(turn["processor"]) for turn in turns] for kind, turns in taken.items()}
    fused = {kind: [median(turn["fused"]["processor"]) for turn in turns] for kind, turns in taken.items()}
    memory = {kind: [float(turn["peak"]) for turn in turns] for kind, turns in taken.items()}
    found = [
        figure
        for kind in taken
        for figure in (
            Figure(f"{TITLES[kind]}, plain AdamW", median(plain[kind]), "s of the processor"),
            Figure(f"{TITLES[kind]}, fused AdamW", median(fused[kind]), "s of the processor"),
            Figure(f"{TITLES[kind]}, peak memory", median(memory[kind]) / 1e9, "GB"),
        )
    ]
    paper = f"contract; the paper has {PAPER_TIME} on an A100"
    if "finetune" in taken:
        found += [
            Figure(
                "time, ControlNet / base", ratio(plain["control"], plain["finetune"]), "×", (None, 0.7), paper
            ),
            Figure(
                "time, ControlNet / base, fused",
                ratio(fused["control"], fused["finetune"]),
                "×",
                about(counted["control"] / counted["finetune"], 0.1),
                "operations",
            ),
            Figure(
                "peak memory, ControlNet / base",
                ratio(memory["control"], memory["finetune"]),
                "×",
                (None, 0.68),
                f"contract; the paper has {PAPER_MEMORY}",
            ),
        ]
    if "middle" in taken:
        found.append(
            Figure(
                "time, all connections / the middle one",
                ratio(fused["control"], fused["middle"]),
                "×",
                about(counted["control"] / counted["middle"], 0.1),
                f"operations; the paper has {PAPER_MIDDLE} on an RTX 3070 Ti",
            )
        )
    return found


if __name__ == "__main__":
    for side in (256, 512):
        for published in (False, True):
            found = {kind: f"{count / 1e9:.0f}" for kind, count in counted_sd15(side, published).items()}
            print(f"{side}², {'as published' if published else 'here'}: G operations {found}")

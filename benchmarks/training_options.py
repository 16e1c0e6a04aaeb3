"""What the options of a plan's arithmetic are worth: the time of a step with each, beside one without.

Processor time, in turns, so that other work on the machine hits all alike. Compiling (torch.compile, block by
block) happens before the clock starts and is told by itself. bf16 is worth having where the processor has
instructions for it.
"""

import time
from collections.abc import Callable

import torch
from torch import nn

import controlnet as cn
from benchmarks.frame import Figure, Report, in_turns, median, ratio
from controlnet.core.controlnet import ControlNet
from controlnet.training.layout import Recomputed, channels_last, compile_blocks, recompute_activations
from controlnet.training.optim import make_optimizer
from controlnet.training.sections import Optim
from controlnet.training.step import Inputs, control_loss

OPTIONS = ("plain", "fused", "channels_last", "recomputed copy", "recomputed both", "bf16", "compile")


def step_of(option: str, source: str = "shapes", batch: int = 4) -> Callable[[], None]:
    """Return a step of training with one of the options, on cached latents."""
    base = cn.load_base(source)
    net = ControlNet.from_base(base, hint="unshuffle").train()
    which: dict[str, Recomputed] = {"recomputed copy": "copy", "recomputed both": True}
    recompute_activations(net, base.network, which.get(option, False))
    if option == "channels_last":
        channels_last(net, base.network)
    if option == "compile":
        compile_blocks(net.copy, base.network)
    half = option == "bf16"
    context = base.encode_prompts(["a red cube on a sand floor"] * batch)
    if half:
        base.to(dtype=torch.bfloat16)
    optimizer = make_optimizer(net, Optim(fused=option == "fused"))
    chance = torch.Generator().manual_seed(0)
    side = base.sample_size // base.downscale
    latents, noise = (torch.randn(batch, base.latent_channels, side, side, generator=chance) for _ in "ln")
    condition = torch.rand((batch, 3, base.sample_size, base.sample_size), generator=chance)
    inputs = Inputs(latents, context.to(dtype=base.dtype), condition)
    timestep = torch.randint(base.objective.timesteps, (batch,), generator=chance)

    def called(*given):  # type: ignore[no-untyped-def]
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            return net(*given)

    def step() -> None:
        control_loss(base, called, inputs, noise, timestep).mean().backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def measure(
    repeats: int = 5, source: str = "shapes", batch: int = 4, options: tuple[str, ...] = OPTIONS
) -> Report:
    """Time a step with each option in turns, as processor time."""
    steps = {option: step_of(option, source, batch) for option in options}
    figures: list[Figure] = []
    for option, step in steps.items():
        began = time.process_time()
        step()
        if option == "compile":
            figures.append(Figure("compile, the first step", time.process_time() - began, "s"))
    taken = in_turns(steps, repeats, clock=time.process_time)
    figures.append(Figure("plain", median(taken["plain"]) * 1e3, "ms a step"))
    figures += [
        Figure(f"{option} / plain, time", ratio(taken[option], taken["plain"]), "×")
        for option in options
        if option != "plain"
    ]
    return Report("training_options", "What are the options of a plan's arithmetic worth?", figures)

"""The same weights twice: a base of ours with a ControlNet, and diffusers' pipeline on the same tensors.

What is to be compared is written down once, and run by either side.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import controlnet as cn
from benchmarks.frame import Action, Figure, in_turns, ratio
from controlnet.backbones import Base
from controlnet.checkpoints.keys import to_diffusers
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import sample_latents
from controlnet.sampling.schedulers import build_scheduler

SAMPLER = "dpm++2m"
PROMPT, NEGATIVE = "a red cube on a sand floor", "a blue cone"
SCALE, SEED = 7.5, 7


@dataclass(frozen=True)
class Task:
    """Steps, and the interval of each control; the ControlNet is one and the same, its pictures differ."""

    steps: int
    intervals: Sequence[tuple[float, float]] = ((0.0, 1.0),)


FULL, HALF, THREE = "full interval", "end=0.5", "three controls, disjoint intervals"


def tasks(steps: int, thirds: int) -> dict[str, Task]:
    """Give what is compared: one control throughout, one for the first half, and three, each for its third.

    steps: of the first two, an even number; thirds: of the last, a multiple of three.
    """
    parts = [(index / 3, (index + 1) / 3) for index in range(3)]
    return {FULL: Task(steps), HALF: Task(steps, [(0.0, 0.5)]), THREE: Task(thirds, parts)}


def versus(
    pair: "Pair", wanted: Mapping[str, Task], repeats: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Time both sides of each task in turns, in seconds of processor time: diffusers over ours, by turn."""
    actions: dict[str, Action] = {}
    for name, task in wanted.items():
        actions[f"ours, {name}"] = lambda task=task: pair.ours(task)
        actions[f"diffusers, {name}"] = lambda task=task: pair.theirs(task)
    return in_turns(actions, repeats, warm_up, time.process_time)


def ratios(
    taken: Mapping[str, list[float]], least: Mapping[str, float], most: Mapping[str, float] | None = None
) -> list[Figure]:
    """Tell how many times as long diffusers takes, beside what was expected."""
    return [
        Figure(
            f"diffusers / ours, {name}",
            ratio(taken[f"diffusers, {name}"], taken[f"ours, {name}"]),
            "×",
            (wanted, None),
            f"issue; arithmetic allows {most[name]:g}" if most else "issue",
        )
        for name, wanted in least.items()
    ]


class Pair:
    """Both sides of the comparison over pictures of side×side pixels."""

    def __init__(self, base: Base, side: int) -> None:
        self.base, self.side = base, side
        self.net = awake(ControlNet.from_base(base))
        chance = torch.Generator().manual_seed(2)
        self.pictures = torch.rand(3, 3, side, side, generator=chance).split(1)
        self._twin = twin(self.net, base)
        self._pipelines: dict[int, Any] = {}

    def ours(self, task: Task) -> Tensor:
        """Return latents, from the prompt on."""
        controls = [
            cn.Control(self.net, picture, start=start, end=end)
            for picture, (start, end) in zip(
                self.pictures[: len(task.intervals)], task.intervals, strict=True
            )
        ]
        return sample_latents(
            self.base,
            self.base.encode_prompts([PROMPT]),
            self.base.encode_prompts([NEGATIVE]),
            controls,
            seeds=[SEED],
            size=(self.side, self.side),
            steps=task.steps,
            guidance_scale=SCALE,
            sampler=SAMPLER,
        )

    def theirs(self, task: Task) -> Tensor:
        """Return the same latents from diffusers' pipeline."""
        count = len(task.intervals)
        if count not in self._pipelines:
            from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline

            twins = [self._twin] * count
            self._pipelines[count] = pipeline(StableDiffusionControlNetPipeline, self.base, twins, SAMPLER)
        starts, ends = (list(ends) for ends in zip(*task.intervals, strict=True))
        pictures = list(self.pictures[:count])
        return self._pipelines[count](
            PROMPT,
            pictures if count > 1 else pictures[0],
            self.side,
            self.side,
            negative_prompt=NEGATIVE,
            num_inference_steps=task.steps,
            guidance_scale=SCALE,
            control_guidance_start=starts,
            control_guidance_end=ends,
            controlnet_conditioning_scale=[1.0] * count if count > 1 else 1.0,
            generator=torch.Generator().manual_seed(SEED),
            output_type="latent",
        ).images

    def difference(self, task: Task) -> float:
        """Return the largest difference of the two sides' latents, as a part of the largest of them."""
        ours, theirs = self.ours(task), self.theirs(task)
        return float((ours - theirs).abs().max() / theirs.abs().max())


def awake(net: ControlNet) -> ControlNet:
    """Let a fresh ControlNet change pictures, as training would."""
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for zero in (*net.zeros.parameters(), *list(net.hint.parameters())[-2:]):
            zero.copy_(torch.randn(zero.shape, generator=chance) * 0.02)
    return net.eval().requires_grad_(False)


def twin(net: ControlNet, base: Base) -> Any:
    """Build diffusers' ControlNetModel over the same tensors."""
    from diffusers.models.controlnets.controlnet import ControlNetModel

    with torch.device("meta"):
        made: Any = ControlNetModel.from_unet(base.network, load_weights_from_unet=False)  # type: ignore[arg-type]
    names = to_diffusers(net)
    made.load_state_dict({names[key]: value for key, value in net.state_dict().items()}, assign=True)
    return made.eval().requires_grad_(False)


def pipeline(kind: type[Any], base: Base, twins: Sequence[Any], sampler: str) -> Any:
    """Build one of diffusers' pipelines in memory, over a base's own parts."""
    made = kind(
        vae=base.vae,
        text_encoder=base.text_encoders[0],
        tokenizer=base.tokenizers[0],
        unet=base.network,
        controlnet=twins[0] if len(twins) == 1 else list(twins),
        scheduler=build_scheduler(sampler, base.scheduler_config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    return made

"""What tests of whole walks share: a condition, a walk of some steps, a count of the calls in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import Control, sample_latents

CONDITION = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))


@contextmanager
def counted(net: ControlNet) -> Iterator[dict[str, list[int]]]:
    """Note the batch size of each call of the hint encoder and of the copy."""
    calls: dict[str, list[int]] = {"hint": [], "copy": []}
    hooks = [
        net.hint.register_forward_hook(lambda module, args, out: calls["hint"].append(len(out))),
        net.copy.get_submodule("time_embedding").register_forward_hook(
            lambda module, args, out: calls["copy"].append(len(out))
        ),
    ]
    yield calls
    for hook in hooks:
        hook.remove()


def sample(base: Base, controls: list[Control], **changes: Any) -> torch.Tensor:
    settings = {
        "seeds": [1, 2],
        "size": (64, 64),
        "steps": 4,
        "sampler": "ddim",
        "guidance_scale": 3.0,
    } | changes
    prompts = ["a red cube", "a blue cone"][: len(settings["seeds"])]
    return sample_latents(base, base.encode_prompts(prompts), None, controls, **settings)

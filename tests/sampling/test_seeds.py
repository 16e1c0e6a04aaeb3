"""The contract of seeds: a picture depends on its own seed, prompt and controls, and on nothing beside it."""

import pytest
import torch

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import Control, sample_latents
from controlnet.sampling.schedulers import SOLVERS

PROMPTS = ["a red cube", "a blue cone", "a ball"]
IMAGES = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(5))
# The second picture has no control, the third has two.
FIRST = torch.tensor([1.0, 0.0, 1.0]).reshape(3, 1, 1, 1).expand(3, 1, 32, 32)
SECOND = torch.tensor([0.0, 0.0, 1.0]).reshape(3, 1, 1, 1).expand(3, 1, 32, 32)


def run(base: Base, nets: list[ControlNet], sampler: str, rows: list[int], batch: int) -> torch.Tensor:
    controls = [
        Control(net, IMAGES[rows], mask=mask[rows])
        for net, mask in zip(nets, (FIRST, SECOND), strict=True)
        if mask[rows].any()
    ]
    return sample_latents(
        base,
        [base.encode_prompts([PROMPTS[row]]) for row in rows],
        None,
        controls,
        seeds=[10 + row for row in rows],
        size=(32, 32),
        steps=3,
        guidance_scale=3.0,
        sampler=sampler,
        batch=batch,
    )


@pytest.mark.parametrize("sampler", SOLVERS)
def test_a_picture_is_the_same_alone_and_among_others(
    base: Base, net: ControlNet, other_net: ControlNet, sampler: str
) -> None:
    nets = [net, other_net]
    one_by_one = run(base, nets, sampler, [0, 1, 2], batch=1)
    turned = run(base, nets, sampler, [2, 1], batch=1)
    assert torch.equal(turned, one_by_one[[2, 1]])
    assert torch.equal(run(base, nets, sampler, [1], batch=1), one_by_one[1:2])
    together = run(base, nets, sampler, [0, 1, 2], batch=3)
    torch.testing.assert_close(together, one_by_one, rtol=0, atol=1e-5 * float(one_by_one.abs().max()))
    assert (one_by_one[0] - one_by_one[2]).abs().mean() > 0.01

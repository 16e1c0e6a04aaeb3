"""Guidance as it is written, and taken back to the spread that it had."""

from typing import Any

import pytest
import torch

from controlnet.backbones import Base
from controlnet.errors import SettingError
from controlnet.sampling import sample_latents
from controlnet.sampling.guidance import rescaled


@pytest.mark.parametrize("share", [0.25, 0.7, 1.0])
def test_rescaling_is_that_of_diffusers_to_the_bit(share: float) -> None:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    generator = torch.Generator().manual_seed(1)
    guided, prompted = torch.randn(2, 3, 4, 8, 8, generator=generator)
    guided = guided * torch.tensor([1.0, 3.0, 9.0]).reshape(3, 1, 1, 1)
    found = rescaled(guided, prompted, share)
    assert torch.equal(found, rescale_noise_cfg(guided, prompted, share))
    spread = prompted.std(dim=(1, 2, 3))
    if share == 1.0:
        torch.testing.assert_close(found.std(dim=(1, 2, 3)), spread)


def run(base: Base, **changes: Any) -> torch.Tensor:
    settings = {"seeds": [1], "size": (32, 32), "steps": 1, "guidance_scale": 8.0, "sampler": "euler"}
    return sample_latents(base, base.encode_prompts(["a red cube"]), None, **(settings | changes))


def test_rescaling_reaches_the_latents_by_its_share(base: Base) -> None:
    """One Euler step moves along the prediction, so that latents lie on a line."""
    plain, half, whole = (run(base, guidance_rescale=share) for share in (0.0, 0.5, 1.0))
    torch.testing.assert_close(half, (plain + whole) / 2, rtol=1e-4, atol=1e-4)
    assert (plain - whole).abs().mean() > 1e-4


def test_rescaling_without_guidance_is_told(base: Base, caplog: pytest.LogCaptureFixture) -> None:
    plain = run(base, guidance_scale=1.0)
    assert torch.equal(run(base, guidance_scale=1.0, guidance_rescale=0.7), plain)
    assert "no effect" in caplog.text


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_out_of_range_are_refused(base: Base, share: float) -> None:
    with pytest.raises(SettingError, match="0 \\(none\\) to 1"):
        run(base, guidance_rescale=share)

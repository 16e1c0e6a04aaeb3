"""A hint encoder that reads conditions as the base's latents: trained, measured, saved, sampled."""

from pathlib import Path

import pytest
import torch

import controlnet as cn
from controlnet.backbones import Base, load_base
from controlnet.checkpoints import load_controlnet, save_controlnet
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError, DataError, PlanError, ShapeError
from controlnet.sampling import sample_latents
from controlnet.training import train
from controlnet.training.frozen import Frozen
from controlnet.training.room import weigh
from tests.training.conftest import MakePlan

HINT = "control.hint=vae"
PICTURES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def net(base: Base) -> ControlNet:
    torch.manual_seed(0)
    channels = base.latent_channels
    return ControlNet.from_base(base, hint="vae", condition_channels=channels, init="gaussian").eval()


def test_reads_latents_each_encoded_by_itself(base: Base, net: ControlNet) -> None:
    read = base.as_read(net.settings, PICTURES)
    assert torch.equal(read[1:], base.encode_pixels(2 * PICTURES[1:] - 1))
    for remember in (True, False):
        assert torch.equal(Frozen(base, 32, remember, reads_latents=True).condition(PICTURES), read)
    plain = ControlNet.from_base(base).settings
    assert base.as_read(plain, PICTURES) is PICTURES
    assert torch.equal(Frozen(base, 32, True).condition(PICTURES), PICTURES)


def test_a_run_learns_and_remembering_changes_no_bit(base: Base, make_plan: MakePlan) -> None:
    whole = train(make_plan(HINT, out="whole"))
    again = train(make_plan(HINT, "data.cache=none", out="again"))
    result, other = (load_controlnet(run.weights, base) for run in (whole, again))
    assert all(torch.equal(one, other.state_dict()[name]) for name, one in result.state_dict().items())
    assert result.settings.hint == "vae" and result.settings.condition_channels == base.latent_channels
    assert result.hint[-1].weight.any()


def test_sampling_takes_pictures_whatever_the_batch(base: Base, net: ControlNet) -> None:
    def sample(picture: torch.Tensor, seeds: list[int]) -> torch.Tensor:
        prompts = base.encode_prompts(["a"] * len(seeds))
        return sample_latents(base, prompts, None, [cn.Control(net, picture)], seeds=seeds, steps=2, batch=1)

    both = sample(PICTURES, [1, 2])
    assert torch.equal(both, torch.cat([sample(PICTURES[:1], [1]), sample(PICTURES[1:], [2])]))
    assert not torch.equal(sample(PICTURES[:1], [1]), sample(PICTURES[1:], [1]))
    with pytest.raises(ShapeError, match=r"wanted floats \(B, 3, H, W\) of 32×32 pixels"):
        prompts, latents = base.encode_prompts(["a"]), torch.rand(1, base.latent_channels, 4, 4)
        sample_latents(base, prompts, None, [cn.Control(net, latents)], seeds=[1], size=(32, 32), steps=2)


def test_encoders_that_leave_memory_are_refused(make_plan: MakePlan) -> None:
    with pytest.raises(PlanError, match="to memory or none"):
        train(make_plan(HINT, "data.cache=disk"))


def test_its_memory_is_estimated(base_folder: Path, make_plan: MakePlan, net: ControlNet) -> None:
    needed = weigh(make_plan(HINT), load_base(base_folder), torch.device("cpu"))
    assert needed.parts["ControlNet"] == sum(p.numel() * 4 for p in net.parameters())


def test_holes_are_refused(base: Base, net: ControlNet) -> None:
    with pytest.raises(DataError, match=r"from -1 to 1; wanted them in \[0, 1\]"):
        prompts, holed = base.encode_prompts(["a"]), 2 * PICTURES[:1].round() - 1
        sample_latents(base, prompts, None, [cn.Control(net, holed)], seeds=[1], steps=2)


def test_other_formats_have_no_place_for_it(net: ControlNet, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="hint='vae'"):
        save_controlnet(net, tmp_path / "net", format="diffusers")

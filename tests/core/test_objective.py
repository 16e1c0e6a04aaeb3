import pytest
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

from controlnet.core.objective import Objective
from controlnet.errors import SettingError

KINDS = ["epsilon", "v_prediction", "flow"]


def schedule() -> DDPMScheduler:
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")


def objective(kind: str) -> Objective:
    return Objective(
        torch.linspace(0.999, 0.001, 1000) if kind == "flow" else schedule().alphas_cumprod, kind
    )


@pytest.fixture
def drawn():
    torch.manual_seed(0)
    return torch.randn(3, 4, 5, 6), torch.randn(3, 4, 5, 6), torch.tensor([0, 500, 999])


def test_agrees_with_the_scheduler(drawn):
    z, noise, t = drawn
    v = objective("v_prediction")
    assert torch.allclose(v.add_noise(z, noise, t), schedule().add_noise(z, noise, t))
    assert torch.allclose(v.target(z, noise, t), schedule().get_velocity(z, noise, t))
    assert v.timesteps == 1000


@pytest.mark.parametrize("kind", KINDS)
def test_a_true_prediction_gives_the_picture_back(kind, drawn):
    z, noise, t = (x.double() if x.is_floating_point() else x for x in drawn)
    o = objective(kind)
    assert torch.allclose(o.x0(o.add_noise(z, noise, t), o.target(z, noise, t), t), z, atol=1e-4)


def test_the_targets_by_their_definition(drawn):
    z, noise, t = drawn
    assert objective("epsilon").target(z, noise, t) is noise
    assert torch.equal(objective("flow").target(z, noise, t), noise - z)
    flow = objective("flow")
    assert torch.allclose(flow.alpha + flow.sigma, torch.ones(1000))


@pytest.mark.parametrize("kind", KINDS)
def test_min_snr_is_the_clamped_snr_on_the_error_of_z(kind, drawn):
    """weight · |Δ prediction|² must be min(SNR, γ) · |Δz|², for any small error Δ of the prediction."""
    z, noise, _ = (x.double() if x.is_floating_point() else x for x in drawn)
    t, o = torch.tensor([30, 400, 900]), objective(kind)
    x, target = o.add_noise(z, noise, t), o.target(z, noise, t)
    error = o.x0(x, target + 0.1, t) - o.x0(x, target, t)
    snr = (o.alpha[t] / o.sigma[t]).double() ** 2
    wanted = snr.clamp(max=5) * error.square().flatten(1).mean(1)
    assert torch.allclose(o.min_snr(t).double() * 0.01, wanted, rtol=1e-4)


def test_loss_is_for_each_sample_and_in_single_precision(drawn):
    z, noise, _ = drawn
    o = objective("epsilon")
    loss = o.loss(z.half(), noise.half())
    assert loss.dtype == torch.float32
    assert torch.allclose(loss, (z.half().float() - noise.half().float()).square().mean((1, 2, 3)))


def test_loss_takes_weights_of_samples_and_of_places(drawn):
    z, noise, _ = drawn
    o = objective("epsilon")
    assert torch.allclose(
        o.loss(z, noise, torch.tensor([0.0, 1, 2])), o.loss(z, noise) * torch.tensor([0.0, 1, 2])
    )
    left = torch.zeros(3, 1, 5, 6)
    left[..., :3] = 2
    assert torch.allclose(o.loss(z, noise, left), o.loss(z[..., :3], noise[..., :3]))


def test_half_precision_latents_stay_so(drawn):
    z, noise, t = drawn
    o = objective("v_prediction")
    assert (
        o.add_noise(z.half(), noise.half(), t).dtype
        == o.target(z.half(), noise.half(), t).dtype
        == torch.float16
    )


def test_an_unknown_kind_is_refused(unchecked):
    with pytest.raises(SettingError, match="did you mean v_prediction"):
        unchecked("objective").Objective(torch.ones(3), "v-prediction")

"""Samplers by name: spelling, setting up from the base, and that each one finds the picture it is told of."""

from typing import Any

import pytest
import torch

from controlnet.errors import SettingError, UnknownName
from controlnet.sampling.denoiser import Step
from controlnet.sampling.sampler import Sampler, draw_noise, generators_of
from controlnet.sampling.schedulers import SAMPLERS, build_scheduler, sampler_name

SD = {
    "_class_name": "PNDMScheduler", "num_train_timesteps": 1000,
    "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
    "steps_offset": 1, "clip_sample": False, "set_alpha_to_one": False,
    "skip_prk_steps": True,
}  # fmt: skip


class Oracle:
    """Predicts the noise of a known picture exactly."""

    def __init__(self, picture: torch.Tensor, prediction_type: str = "epsilon") -> None:
        betas = torch.linspace(SD["beta_start"] ** 0.5, SD["beta_end"] ** 0.5, 1000, dtype=torch.float64) ** 2
        self.alphas, self.picture, self.kind = (1 - betas).cumprod(0), picture, prediction_type
        self.steps: list[Step] = []

    def __call__(self, x: torch.Tensor, step: Step) -> torch.Tensor:
        self.steps.append(step)
        low = int(step.timestep)
        part = float(step.timestep) - low
        # The schedulers interpolate σ between whole timesteps.
        sigma = ((1 - self.alphas) / self.alphas).sqrt()
        at = sigma[low] * (1 - part) + sigma[min(low + 1, 999)] * part
        alpha = float(1 / (at**2 + 1))
        noise = (x - alpha**0.5 * self.picture) / (1 - alpha) ** 0.5
        return noise if self.kind == "epsilon" else alpha**0.5 * noise - (1 - alpha) ** 0.5 * self.picture


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("steps", [2, 12])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_reaches_the_picture(name: str, steps: int, prediction_type: str) -> None:
    picture = torch.linspace(-1, 1, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)
    generators = generators_of([1, 2])
    walker = Sampler(name, SD | {"prediction_type": prediction_type}, steps)
    latents = walker.first(draw_noise(generators, (4, 8, 8)))
    oracle = Oracle(picture, prediction_type)
    walked = list(walker.walk(oracle, latents, generators))
    assert len(walked) == walker.count == steps
    assert [step.index for step in oracle.steps] == list(range(steps))
    times = [float(step.timestep) for step in oracle.steps]
    assert times == sorted(times, reverse=True)
    # DDIM as published leaves the noise of the first training step, σ = 0.029, in the picture.
    assert (walked[-1][1] - picture).abs().mean() < 0.03


@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step_is_enough(name: str) -> None:
    picture = torch.zeros(1, 4, 8, 8)
    generators = generators_of([1])
    walker = Sampler(name, SD, 1)
    walked = list(walker.walk(Oracle(picture), walker.first(draw_noise(generators, (4, 8, 8))), generators))
    assert len(walked) == 1
    assert walked[0][1].isfinite().all()


@pytest.mark.parametrize(
    ("spelled", "name"),
    [("DPM++ 2M", "dpm++2m"), ("DPM++ 2M Karras", "dpm++2m karras"), ("dpmpp_2m_karras", "dpm++2m karras"),
     ("Euler a", "euler a"), ("euler_a", "euler a"), ("k_euler_ancestral", "euler a"), ("UniPC", "unipc"),
     (" DDIM ", "ddim"), ("Euler", "euler")],
)  # fmt: skip
def test_spellings(spelled: str, name: str) -> None:
    assert sampler_name(spelled) == name


def test_labels_lead_back_to_their_sampler() -> None:
    assert [sampler_name(kind.label) for kind in SAMPLERS.values()] == list(SAMPLERS)


def test_unknown_sampler_lists_near_ones() -> None:
    with pytest.raises(UnknownName, match=r"dpm\+\+2m"):
        sampler_name("dpm++2n")


def test_the_base_sets_noise_schedule_and_prediction_type() -> None:
    scheduler = build_scheduler("dpm++2m karras", SD | {"prediction_type": "v_prediction"})
    assert scheduler.config.prediction_type == "v_prediction"
    assert scheduler.config.use_karras_sigmas
    assert float(scheduler.betas[-1]) == pytest.approx(0.012)


def test_flow_bases_are_refused_for_now() -> None:
    with pytest.raises(SettingError, match="flow"):
        build_scheduler("euler", {"_class_name": "FlowMatchEulerDiscreteScheduler"})


@pytest.mark.parametrize(("steps", "strength"), [(0, 1.0), (1001, 1.0), (20, 0.0), (20, 1.5)])
def test_impossible_steps_and_strengths_are_refused(steps: int, strength: float) -> None:
    with pytest.raises(SettingError, match="wanted"):
        Sampler("ddim", SD, steps, strength)


@pytest.mark.parametrize("name", SAMPLERS)
def test_strength_runs_the_last_part_only(name: str) -> None:
    picture = torch.linspace(-1, 1, 4 * 8 * 8).reshape(1, 4, 8, 8)
    generators = generators_of([3])
    noise = draw_noise(generators, (4, 8, 8))
    whole, part = Sampler(name, SD, 10), Sampler(name, SD, 10, strength=0.3)
    begun = part.first(noise, picture)
    assert part.count == 3
    oracle, reference = Oracle(picture), Oracle(picture)
    end = list(part.walk(oracle, begun, generators))[-1][1]
    list(whole.walk(reference, whole.first(noise), generators))
    assert [s.timestep for s in oracle.steps] == [s.timestep for s in reference.steps[-3:]]
    assert (end - picture).abs().mean() < 0.03
    assert (begun - picture).abs().mean() < (whole.first(noise) - picture).abs().mean() * 1.01


def test_random_steps_need_a_seed_for_each_picture() -> None:
    walker = Sampler("euler a", SD, 3)
    picture: Any = torch.zeros(2, 4, 8, 8)
    with pytest.raises(SettingError, match="one seed for each"):
        list(walker.walk(Oracle(picture), picture, generators_of([1])))


def test_seeds_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match="random one"):
        generators_of([-1])

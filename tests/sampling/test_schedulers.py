"""Samplers by name: spelling, setting up from the base, and that each one finds the picture it is told of."""

from pathlib import Path
from typing import Any

import pytest
import torch

from controlnet.errors import MissingExtra, SettingError, UnknownName
from controlnet.sampling import schedulers
from controlnet.sampling.denoiser import Step
from controlnet.sampling.sampler import Sampler, draw_noise, generators_of
from controlnet.sampling.schedulers import SAMPLERS, SOLVERS, SPACINGS, build_scheduler, sampler_name
from tests.sampling.gaussian import FLOW, SD

ALL = ", ".join(SPACINGS)
TWICE = {"heun", "dpm2", "dpm2 a", "dpm++2s a", "dpm++sde"}  # call the network twice a step, but for the last


def calls(name: str, steps: int) -> int:
    """Count the calls of so many steps; PLMS takes its first step twice."""
    return 2 * steps - 1 if name in TWICE else steps + (name == "plms" and steps > 1)


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
@pytest.mark.parametrize("name", SOLVERS)
def test_every_sampler_reaches_the_picture(name: str, steps: int, prediction_type: str) -> None:
    picture = torch.linspace(-1, 1, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)
    generators = generators_of([1, 2])
    walker = Sampler(name, SD | {"prediction_type": prediction_type}, steps)
    latents = walker.first(draw_noise(generators, (4, 8, 8)))
    oracle = Oracle(picture, prediction_type)
    walked = list(walker.walk(oracle, latents, generators))
    assert len(walked) == walker.count == calls(name, steps)
    assert [step.index for step in oracle.steps] == list(range(walker.count))
    times = [float(step.timestep) for step in oracle.steps]
    assert times == sorted(times, reverse=True)
    # DDIM as published leaves the noise of the first training step, σ = 0.029, in the picture.
    assert (walked[-1][1] - picture).abs().mean() < 0.03


@pytest.mark.parametrize("name", SOLVERS)
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
     (" DDIM ", "ddim"), ("Euler", "euler"), ("DPM++ SDE Karras", "dpm++sde karras"),
     ("LMS Karras", "lms karras"),
     ("dpmpp_2s_ancestral", "dpm++2s a"), ("DPM2 a Karras", "dpm2 a karras"), ("PNDM", "plms"),
     ("LCM", "lcm"),
     ("dpmpp_3m_sde exponential", "dpm++3m sde exponential"), ("euler simple", "euler sgm uniform"),
     ("DPM++ 2M SGM Uniform", "dpm++2m sgm uniform"), ("uni_pc normal", "unipc normal"),
     ("heunbeta", "heun beta")],
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


def test_a_spacing_replaces_the_one_of_the_base() -> None:
    own = SD | {"use_karras_sigmas": True, "timestep_spacing": "leading"}
    assert build_scheduler("euler", own).config.use_karras_sigmas
    other = build_scheduler("euler exponential", own).config
    assert (other.use_karras_sigmas, other.use_exponential_sigmas) == (False, True)
    assert other.timestep_spacing == "linspace"
    assert not build_scheduler("euler sgm uniform", own).config.use_karras_sigmas


def test_latents_are_never_clipped() -> None:
    assert not build_scheduler("ddim", {**SD, "clip_sample": True}).config.clip_sample


def test_the_shift_of_a_flow_base_is_kept() -> None:
    for name in ("euler", "dpm++2m", "unipc"):
        config = build_scheduler(name, FLOW).config
        assert config.get("flow_shift", config.get("shift")) == 3.0
    with pytest.raises(SettingError, match="fixed one"):
        build_scheduler("euler", FLOW | {"use_dynamic_shifting": True})


def test_pure_noise_at_the_end_is_refused_where_it_would_be_overlooked() -> None:
    zero = SD | {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    assert build_scheduler("euler", zero).config.rescale_betas_zero_snr
    with pytest.raises(SettingError, match="zero SNR"):
        build_scheduler("heun", zero)


def test_scipy_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedulers, "find_spec", lambda name: None)
    for name in ("lms", "euler beta"):
        with pytest.raises(MissingExtra, match="pip install scipy"):
            build_scheduler(name, SD)
    build_scheduler("euler", SD)


def test_steps_that_a_distilled_sampler_lacks_are_refused() -> None:
    with pytest.raises(SettingError, match="60 steps for LCM"):
        Sampler("lcm", SD, 60)


@pytest.mark.parametrize("name", ["ddim", "euler", "dpm2", "dpm++2m"])
def test_the_estimate_is_the_clean_picture(name: str) -> None:
    picture = torch.linspace(-1, 1, 4 * 8 * 8).reshape(1, 4, 8, 8)
    for kind in ("epsilon", "v_prediction"):
        walker = Sampler(name, SD | {"prediction_type": kind}, 4)
        assert walker.estimate is None
        for _ in walker.walk(Oracle(picture, kind), walker.first(torch.randn(1, 4, 8, 8))):
            assert (walker.estimate - picture).abs().mean() < 0.03


def test_the_document_has_the_table() -> None:
    """docs/samplers.md cannot go stale: what it must say is written here from the samplers themselves."""
    text = (Path(__file__).parents[2] / "docs" / "samplers.md").read_text()
    for row in rows():
        assert row in text
    told = [line for line in text.splitlines() if line.startswith("| `")]
    assert told == rows()


def rows() -> list[str]:
    """Write a row for each solver, then for each spacing."""
    found = []
    for name, solver in SOLVERS.items():
        spacings = ", ".join(solver.spacings).replace(ALL, "all") or "its own"
        marks = [mark for mark, holds in (("noise", solver.draws_noise), ("flow", solver.flow)) if holds]
        marks += ["two calls a step"] * (name in TWICE) + ["scipy"] * solver.needs_scipy
        aliases = ", ".join(f"`{alias}`" for alias in solver.aliases)
        found.append(
            f"| `{name}` | {solver.label} | {aliases} | {spacings} | {', '.join(marks)} | {solver.source} |"
        )
    for name, spacing in SPACINGS.items():
        aliases = ", ".join(f"`{alias}`" for alias in spacing.aliases)
        found.append(f"| `{name}` | {spacing.label} | {aliases} | {spacing.source} |")
    return found


@pytest.mark.parametrize(("steps", "strength"), [(0, 1.0), (1001, 1.0), (20, 0.0), (20, 1.5)])
def test_impossible_steps_and_strengths_are_refused(steps: int, strength: float) -> None:
    with pytest.raises(SettingError, match="wanted"):
        Sampler("ddim", SD, steps, strength)


@pytest.mark.parametrize("name", SOLVERS)
def test_strength_runs_the_last_part_only(name: str) -> None:
    picture = torch.linspace(-1, 1, 4 * 8 * 8).reshape(1, 4, 8, 8)
    generators = generators_of([3])
    noise = draw_noise(generators, (4, 8, 8))
    whole, part = Sampler(name, SD, 10), Sampler(name, SD, 10, strength=0.3)
    begun = part.first(noise, picture)
    assert part.count == calls(name, 3)
    oracle, reference = Oracle(picture), Oracle(picture)
    end = list(part.walk(oracle, begun, generators))[-1][1]
    list(whole.walk(reference, whole.first(noise), generators))
    steps, whole_steps = (
        list(dict.fromkeys(float(s.timestep) for s in o.steps)) for o in (oracle, reference)
    )
    assert steps == whole_steps[-len(steps) :]
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

"""Every sampler walks a known problem to the right mean and spread, whatever is predicted."""

import pytest
import torch

from controlnet.errors import SettingError
from controlnet.sampling.sampler import Sampler, draw_noise, generators_of
from controlnet.sampling.schedulers import SAMPLERS, SOLVERS
from tests.sampling.gaussian import MEAN, SPREAD, Consistent, Ideal, TrajectoryConsistent, config

FLOW = [name for name, solver in SOLVERS.items() if solver.flow]
# What so many steps may leave, of solvers of first order, of others, and of the beta spacing, whose first and
# last steps are short at the cost of those between.
LEFT = {20: (0.12, 0.07, 0.2), 50: (0.06, 0.03, 0.07)}
FIRST_ORDER = ("ddim", "ddpm", "euler", "euler a")


def walked(name: str, prediction_type: str, steps: int) -> torch.Tensor:
    """Walk from latents that have exactly the spread they should have at the second step."""
    drawn = draw_noise(generators_of(range(8)), (4, 32, 32))
    latents, noise = ((part - part.mean()) / part.std() for part in drawn.split(4))
    walker = Sampler(name, config(prediction_type), steps, strength=1 - 1 / steps)
    x = walker.first(noise, MEAN + SPREAD * latents)
    denoiser = Consistent(prediction_type) if name.startswith("lcm") else Ideal(prediction_type)
    if name.startswith("tcd"):
        denoiser = TrajectoryConsistent([int(t) for t in walker._timesteps])
    for _, moved in walker.walk(denoiser, x, generators_of(range(4))):
        x = moved
    return x


def check(name: str, prediction_type: str, steps: int) -> None:
    x = walked(name, prediction_type, steps)
    first, second, beta = LEFT[steps]
    left = beta if name.endswith("beta") else first if name.startswith(FIRST_ORDER) else second
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(x.std()) == pytest.approx(SPREAD, abs=left)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_finds_mean_and_spread(name: str) -> None:
    check(name, "epsilon", 20)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_finds_them_better_in_more_steps(name: str) -> None:
    check(name, "epsilon", 50)


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_finds_them_from_velocities(name: str) -> None:
    if name != "tcd":  # the network made for it here predicts noise
        check(name, "v_prediction", 20)


@pytest.mark.parametrize("name", [*FLOW, "euler karras", "euler exponential", "euler beta"])
def test_samplers_for_flow_find_them(name: str) -> None:
    check(name, "flow", 50)


@pytest.mark.parametrize("name", ["dpm++2m karras", "heun", "dpm++sde karras", "unipc karras"])
def test_the_second_order_shows(name: str) -> None:
    """Few steps are enough, and many leave nothing: an error of the method would stay."""
    few, many = (abs(float(walked(name, "epsilon", steps).std()) - SPREAD) for steps in (12, 100))
    assert few < 0.04
    assert many < 0.009


@pytest.mark.parametrize("name", ["ddim", "dpm++2m karras", "euler normal", "heun beta"])
def test_others_are_refused_for_flow(name: str) -> None:
    with pytest.raises(SettingError, match="euler, heun"):
        Sampler(name, config("flow"), 4)


def test_a_wrong_denoiser_shows() -> None:
    """The measure can fail: velocities taken for noise lead elsewhere."""
    walker = Sampler("ddim", config("epsilon"), 50)
    noise = draw_noise(generators_of([0]), (4, 32, 32))
    *_, (_, x) = walker.walk(Ideal("v_prediction"), walker.first(noise))
    assert abs(float(x.std()) - SPREAD) > 0.1

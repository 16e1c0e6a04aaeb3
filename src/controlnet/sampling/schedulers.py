"""The samplers by the names that users know, as data, over the schedulers of diffusers.

A name is that of a solver, alone (timesteps as the base has them) or with a spacing: "dpm++2m", "dpm++2m
karras". docs/samplers.md shows them all.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, final

from controlnet.errors import MissingExtra, SettingError, UnknownName
from controlnet.nearest import unknown

Settings = Mapping[str, bool | int | str]


@final
@dataclass(frozen=True)
class Spacing:
    """Where the steps lie: label as the web UI has it, settings for the scheduler."""

    label: str
    settings: Settings
    source: str
    aliases: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class Solver:
    """A scheduler class of diffusers and how it is set up.

    label: the web UI's name. module: in diffusers.schedulers, or a whole path. spacings: those it can be
    combined with. draws_noise: whether its steps are random, each picture then drawing from its own
    generator. indexed: whether it keeps a step index that must be told where to begin. flow: module and class
    for bases trained for flow; None where there is none.
    """

    label: str
    module: str
    scheduler: str
    source: str
    spacings: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict[str, bool | int | str])
    draws_noise: bool = False
    indexed: bool = True
    aliases: tuple[str, ...] = ()
    flow: tuple[str, str] | None = None
    needs_scipy: bool = False


@final
@dataclass(frozen=True)
class SamplerKind:
    """A solver with one of its spacings; None is the base's own."""

    solver: Solver
    spacing: Spacing | None = None

    @property
    def label(self) -> str:
        """The web UI's name, such as "DPM++ 2M Karras"."""
        return " ".join(part.label for part in (self.solver, self.spacing) if part)

    @property
    def draws_noise(self) -> bool:
        """Whether its steps are random."""
        return self.solver.draws_noise

    @property
    def needs_scipy(self) -> bool:
        """Whether scipy must be installed."""
        return self.solver.needs_scipy or self.spacing is SPACINGS["beta"]


# Noise levels laid out anew begin at the highest and end at the lowest that the base knows.
_ANEW: Final = {"timestep_spacing": "linspace"}
SPACINGS: Final[dict[str, Spacing]] = {
    "karras": Spacing(
        "Karras", _ANEW | {"use_karras_sigmas": True}, "Karras et al. 2206.00364, eq. 5, ρ = 7"
    ),
    "exponential": Spacing("Exponential", _ANEW | {"use_exponential_sigmas": True}, "evenly spaced log σ"),
    "beta": Spacing("Beta", _ANEW | {"use_beta_sigmas": True}, "Lee et al. 2407.12173, α = β = 0.6"),
    "normal": Spacing("Normal", _ANEW, "first and last timestep included", ("uniform", "linspace")),
    "sgm uniform": Spacing(
        "SGM Uniform",
        {"timestep_spacing": "trailing"},
        "from the last timestep, evenly (Lin et al. 2305.08891)",
        ("simple", "trailing"),
    ),
    "ddim uniform": Spacing(
        "DDIM Uniform", {"timestep_spacing": "leading"}, "to the first timestep, evenly", ("ddim", "leading")
    ),
}
_LEVELS: Final = ("karras", "exponential", "beta")
_TIMES: Final = ("normal", "sgm uniform", "ddim uniform")
_ALL: Final = (*_LEVELS, *_TIMES)

_DPM: Final = ("scheduling_dpmsolver_multistep", "DPMSolverMultistepScheduler")
_OWN: Final = "controlnet.sampling.dpm_single"
_UNIPC: Final = ("scheduling_unipc_multistep", "UniPCMultistepScheduler")
_DEIS: Final = ("scheduling_deis_multistep", "DEISMultistepScheduler")
_SDE: Final = {"algorithm_type": "sde-dpmsolver++"}

SOLVERS: Final[dict[str, Solver]] = {
    # With eta = 0: the default of the published ControlNet code.
    "ddim": Solver(
        "DDIM", "scheduling_ddim", "DDIMScheduler", "Song et al. 2010.02502, eq. 12, η = 0",
        _TIMES[1:], indexed=False,
    ),
    "ddpm": Solver(
        "DDPM", "scheduling_ddpm", "DDPMScheduler", "Ho et al. 2006.11239, algorithm 2",
        _TIMES, draws_noise=True, indexed=False,
    ),
    "plms": Solver(
        "PLMS", "scheduling_pndm", "PNDMScheduler", "Liu et al. 2202.09778, without the Runge-Kutta steps",
        _TIMES[1:], {"skip_prk_steps": True}, indexed=False, aliases=("pndm",),
    ),
    "euler": Solver(
        "Euler", "scheduling_euler_discrete", "EulerDiscreteScheduler",
        "Karras et al. 2206.00364, algorithm 2 of first order, no churn",
        _ALL, aliases=("k_euler",),
        flow=("scheduling_flow_match_euler_discrete", "FlowMatchEulerDiscreteScheduler"),
    ),
    "euler a": Solver(
        "Euler a", "scheduling_euler_ancestral_discrete", "EulerAncestralDiscreteScheduler",
        "Euler with ancestral noise (k-diffusion)",
        _TIMES, draws_noise=True, aliases=("k_euler_a", "euler_ancestral", "k_euler_ancestral"),
    ),
    "heun": Solver(
        "Heun", "scheduling_heun_discrete", "HeunDiscreteScheduler",
        "Karras et al. 2206.00364, algorithm 2, no churn",
        _ALL, aliases=("k_heun",),
        flow=("scheduling_flow_match_heun_discrete", "FlowMatchHeunDiscreteScheduler"),
    ),
    "dpm2": Solver(
        "DPM2", "scheduling_k_dpm_2_discrete", "KDPM2DiscreteScheduler",
        "Lu et al. 2206.00927, second order, as in Karras et al.",
        _ALL, aliases=("dpm_2", "k_dpm_2"),
    ),
    "dpm2 a": Solver(
        "DPM2 a", "scheduling_k_dpm_2_ancestral_discrete", "KDPM2AncestralDiscreteScheduler",
        "DPM2 with ancestral noise (k-diffusion)",
        _ALL, draws_noise=True, aliases=("dpm_2_ancestral", "k_dpm_2_a", "dpm2_ancestral"),
    ),
    "lms": Solver(
        "LMS", "scheduling_lms_discrete", "LMSDiscreteScheduler", "linear multistep, order 4 (k-diffusion)",
        _ALL, aliases=("k_lms",), needs_scipy=True,
    ),
    "dpm++2m": Solver(
        "DPM++ 2M", *_DPM, "Lu et al. 2211.01095, algorithm 2",
        _ALL, aliases=("dpmpp_2m", "k_dpmpp_2m", "dpm++", "dpmsolver++"), flow=_DPM,
    ),
    "dpm++2m sde": Solver(
        "DPM++ 2M SDE", *_DPM, "the same for the diffusion SDE",
        _ALL, _SDE, draws_noise=True, aliases=("dpmpp_2m_sde", "k_dpmpp_2m_sde"), flow=_DPM,
    ),
    "dpm++3m sde": Solver(
        "DPM++ 3M SDE", *_DPM, "the same, third order; alone it takes the exponential spacing",
        # With timesteps evenly apart the third order overshoots: a Gaussian comes out 12 % too wide.
        ("karras", "exponential"), _SDE | {"solver_order": 3, "use_exponential_sigmas": True},
        draws_noise=True, aliases=("dpmpp_3m_sde",),
    ),
    "dpm++2s a": Solver(
        "DPM++ 2S a", _OWN, "DPMSingleAncestralScheduler",
        "Lu et al. 2211.01095, algorithm 1, with ancestral noise (k-diffusion)",
        _ALL, draws_noise=True, aliases=("dpmpp_2s_ancestral", "k_dpmpp_2s_a", "dpmpp_2s_a"),
    ),
    "dpm++sde": Solver(
        "DPM++ SDE", _OWN, "DPMSingleSDEScheduler", "the same for the diffusion SDE (k-diffusion)",
        _ALL, draws_noise=True, aliases=("dpmpp_sde", "k_dpmpp_sde"),
    ),
    "unipc": Solver(
        "UniPC", *_UNIPC, "Zhao et al. 2302.04867, B₂(h), second order",
        _ALL, aliases=("uni_pc", "uni_pc_bh2"), flow=_UNIPC,
    ),
    "deis": Solver("DEIS", *_DEIS, "Zhang and Chen 2204.13902, second order", _ALL),
    "sa-solver": Solver(
        "SA-Solver", "scheduling_sasolver", "SASolverScheduler", "Xue et al. 2309.05019",
        ("karras", "exponential", *_TIMES), draws_noise=True, aliases=("sa_solver", "sasolver"),
    ),
    # These two want a base that was distilled for them, such as one under an LCM-LoRA.
    "lcm": Solver(
        "LCM", "scheduling_lcm", "LCMScheduler", "Luo et al. 2310.04378, algorithm 3",
        draws_noise=True, flow=("scheduling_flow_match_lcm", "FlowMatchLCMScheduler"),
    ),
    "tcd": Solver(
        "TCD", "scheduling_tcd", "TCDScheduler", "Zheng et al. 2402.19159, γ = 0.3", draws_noise=True
    ),
}  # fmt: skip

SAMPLERS: Final[dict[str, SamplerKind]] = {
    " ".join(filter(None, (name, spacing))): SamplerKind(solver, SPACINGS[spacing] if spacing else None)
    for name, solver in SOLVERS.items()
    for spacing in (None, *solver.spacings)
}


def sampler_name(name: str) -> str:
    """Find a sampler's own name from any spelling of it, such as "dpmpp_2m_karras"; else UnknownName."""
    found = _SPELLINGS.get(_squeezed(name))
    if found is None:
        raise UnknownName(f"{unknown('sampler', name, SAMPLERS)} (docs/samplers.md lists them all)")
    return found


def is_flow(config: Mapping[str, Any]) -> bool:
    """Say whether a base with this scheduler configuration predicts flow, ε − z on the straight path."""
    named = str(config.get("_class_name", "")).startswith("FlowMatch")
    return named or str(config.get("prediction_type", "")).startswith("flow")


def build_scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """Build the scheduler of diffusers for a sampler from the base's own scheduler configuration.

    Noise schedule, prediction type and, unless the name has one, spacing come from the base. Raises
    UnknownName, MissingExtra (scipy), and SettingError where the sampler is not made for such a base.
    """
    own = sampler_name(name)
    kind = SAMPLERS[own]
    if kind.needs_scipy and find_spec("scipy") is None:
        raise MissingExtra(f"the sampler {own!r} needs scipy: pip install scipy, or choose dpm++2m")
    settings = {**kind.solver.settings, **_spaced(kind.spacing)}
    module, scheduler = kind.solver.module, kind.solver.scheduler
    if is_flow(config):
        module, scheduler = _flow_class(own, kind)
        settings |= _flow_settings(config)
    made = getattr(import_module(module if "." in module else f"diffusers.schedulers.{module}"), scheduler)
    taken = inspect.signature(made.__init__).parameters
    if config.get("rescale_betas_zero_snr") and "rescale_betas_zero_snr" not in taken:
        raise SettingError(
            f"got the sampler {own!r} for a base whose noise schedule ends in pure noise (zero SNR), where "
            "it divides by zero; wanted ddim, euler, euler a, dpm++2m or unipc"
        )
    # Latents are not pictures in [-1, 1], so that clipping, a default of some schedulers, would harm them.
    wanted = {**config, "clip_sample": False, **settings}
    return made.from_config({key: value for key, value in wanted.items() if key in taken})


def _spaced(spacing: Spacing | None) -> Settings:
    """Give the settings of a spacing, which also undo the one that the base's configuration has."""
    if spacing is None:
        return {}
    none: Settings = {f"use_{how}_sigmas": False for how in _LEVELS}
    return {**none, **spacing.settings}


def _flow_class(name: str, kind: SamplerKind) -> tuple[str, str]:
    able = [own for own, solver in SOLVERS.items() if solver.flow is not None]
    timed = kind.spacing is not None and not any(key.startswith("use_") for key in kind.spacing.settings)
    respaced = kind.spacing is not None and kind.solver.label != "Euler"
    if kind.solver.flow is None or timed or respaced:
        raise SettingError(
            f"got the sampler {name!r} for a base trained for flow; wanted one of {', '.join(able)}, without "
            "a spacing, or euler with karras, exponential or beta"
        )
    return kind.solver.flow


def _flow_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    if config.get("use_dynamic_shifting"):
        raise SettingError(
            "got a flow base whose shift depends on the picture's size; wanted a fixed one: set "
            '"use_dynamic_shifting": false and "shift" in its scheduler_config.json'
        )
    shift = config.get("flow_shift", config.get("shift", 1.0))
    told = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
    return {**told, "shift": shift, "flow_shift": shift}


def _squeezed(name: str) -> str:
    return "".join(name.lower().replace("_", " ").replace("-", " ").split())


def _spellings() -> dict[str, str]:
    found: dict[str, str] = {}
    for own, kind in SAMPLERS.items():
        solver = kind.solver
        base = next(name for name, known in SOLVERS.items() if known is solver)
        heads = (base, solver.label, *solver.aliases)
        tails = [""] if kind.spacing is None else [kind.spacing.label, *kind.spacing.aliases]
        for head in heads:
            for tail in tails:
                found.setdefault(_squeezed(head + tail), own)
    return found


_SPELLINGS: Final = _spellings()

"""The samplers by the names that users know, as data, over the schedulers of diffusers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import unknown


@dataclass(frozen=True)
class SamplerKind:
    """A scheduler class of diffusers and how it is set up.

    label: the web UI's name. draws_noise: whether its steps are random, each picture then drawing from its
    own generator. indexed: whether it keeps a step index that must be told where to begin.
    """

    label: str
    module: str
    scheduler: str
    settings: Mapping[str, bool | int | str] = field(default_factory=dict[str, bool | int | str])
    draws_noise: bool = False
    indexed: bool = True
    aliases: tuple[str, ...] = ()


_DPM: Final = ("scheduling_dpmsolver_multistep", "DPMSolverMultistepScheduler")
_KARRAS: Final = {"use_karras_sigmas": True}
_SDE: Final = {"algorithm_type": "sde-dpmsolver++"}

SAMPLERS: Final[dict[str, SamplerKind]] = {
    # Song et al. 2020, with eta = 0: the default of the published ControlNet code.
    "ddim": SamplerKind("DDIM", "scheduling_ddim", "DDIMScheduler", indexed=False),
    # Lu et al. 2022, DPM-Solver++ of second order, multistep.
    "dpm++2m": SamplerKind("DPM++ 2M", *_DPM, aliases=("dpmpp_2m", "dpm++", "dpmsolver++")),
    "dpm++2m karras": SamplerKind("DPM++ 2M Karras", *_DPM, _KARRAS, aliases=("dpmpp_2m_karras",)),
    "dpm++2m sde": SamplerKind("DPM++ 2M SDE", *_DPM, _SDE, draws_noise=True, aliases=("dpmpp_2m_sde",)),
    "dpm++2m sde karras": SamplerKind(
        "DPM++ 2M SDE Karras", *_DPM, _SDE | _KARRAS, draws_noise=True, aliases=("dpmpp_2m_sde_karras",)
    ),
    # Zhao et al. 2023.
    "unipc": SamplerKind("UniPC", "scheduling_unipc_multistep", "UniPCMultistepScheduler"),
    # Karras et al. 2022, algorithm 2 without churn, and with ancestral noise.
    "euler": SamplerKind(
        "Euler", "scheduling_euler_discrete", "EulerDiscreteScheduler", aliases=("k_euler",)
    ),
    "euler a": SamplerKind(
        "Euler a",
        "scheduling_euler_ancestral_discrete",
        "EulerAncestralDiscreteScheduler",
        draws_noise=True,
        aliases=("k_euler_a", "euler_ancestral", "k_euler_ancestral"),
    ),
}


def sampler_name(name: str) -> str:
    """Find a sampler's own name from any spelling of it, such as "dpmpp_2m_karras"; else UnknownName."""
    wanted = _squeezed(name)
    for own, kind in SAMPLERS.items():
        if wanted in map(_squeezed, (own, *kind.aliases)):
            return own
    raise UnknownName(unknown("sampler", name, SAMPLERS))


def build_scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """Build the scheduler of diffusers for a sampler from the base's own scheduler configuration.

    Noise schedule, prediction type and spacing come from the base. SettingError where the base needs a flow
    sampler, which none of these is.
    """
    if str(config.get("_class_name", "")).startswith("FlowMatch"):
        raise SettingError(
            f"got a base with the scheduler {config['_class_name']} for the sampler {name!r}; "
            "wanted one trained for epsilon or v-prediction, as flow sampling is not offered yet"
        )
    kind = SAMPLERS[sampler_name(name)]
    scheduler = getattr(import_module(f"diffusers.schedulers.{kind.module}"), kind.scheduler)
    return scheduler.from_config(dict(config), **kind.settings)


def _squeezed(name: str) -> str:
    return "".join(name.lower().replace("_", " ").replace("-", " ").split())

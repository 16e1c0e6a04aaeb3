"""ControlNet: spatial control for text-to-image diffusion models.

    import controlnet as cn

    base = cn.load_base("shapes")
    net = cn.ControlNet.from_base(base)
    residuals = net(x, timestep, context, condition)
    y = cn.denoise(base, x, timestep, context, residuals)

Every public name is listed in `__all__` and imported when it is first used: `import controlnet` is fast and
needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from controlnet.nearest import unknown

__version__ = "0.1.0"

if TYPE_CHECKING:
    from controlnet.backbones import Base, load_base
    from controlnet.checkpoints import (
        add_decoder,
        add_embedding,
        add_lora,
        convert,
        load_controlnet,
        save_controlnet,
    )
    from controlnet.conditions import annotate, condition, conditions
    from controlnet.core.block import ControlledBlock
    from controlnet.core.context import Context
    from controlnet.core.controlled import ControlledModel, denoise
    from controlnet.core.controlnet import ControlNet, ControlSettings
    from controlnet.core.residuals import Residuals
    from controlnet.errors import (
        CheckpointError,
        ControlNetError,
        DataError,
        MissingExtra,
        MissingWeights,
        PlanError,
        ServiceError,
        SettingError,
        ShapeError,
        TrainingStopped,
        UnknownName,
    )
    from controlnet.evaluation.public import evaluate
    from controlnet.sampling import (
        Control,
        extended,
        feathered,
        generate,
        generate_frames,
        hires,
        inpaint_hint,
        outpaint,
        upscale,
    )
    from controlnet.sampling.repaint import inpaint
    from controlnet.training import TrainingPlan, train

_HOMES = {
    "controlnet.backbones": ("Base", "load_base"),
    "controlnet.checkpoints": (
        "add_decoder",
        "add_embedding",
        "add_lora",
        "convert",
        "load_controlnet",
        "save_controlnet",
    ),
    "controlnet.conditions": ("annotate", "condition"),
    "controlnet.core.block": ("ControlledBlock",),
    "controlnet.core.context": ("Context",),
    "controlnet.core.controlled": ("ControlledModel", "denoise"),
    "controlnet.core.controlnet": ("ControlNet", "ControlSettings"),
    "controlnet.core.residuals": ("Residuals",),
    "controlnet.errors": (
        "CheckpointError",
        "ControlNetError",
        "DataError",
        "MissingExtra",
        "MissingWeights",
        "PlanError",
        "ServiceError",
        "SettingError",
        "ShapeError",
        "TrainingStopped",
        "UnknownName",
    ),
    "controlnet.evaluation.public": ("evaluate",),
    "controlnet.sampling": (
        "Control",
        "extended",
        "feathered",
        "generate",
        "generate_frames",
        "hires",
        "inpaint_hint",
        "outpaint",
        "upscale",
    ),
    "controlnet.sampling.repaint": ("inpaint",),
    "controlnet.training": ("TrainingPlan", "train"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Base",
    "CheckpointError",
    "Context",
    "Control",
    "ControlNet",
    "ControlNetError",
    "ControlSettings",
    "ControlledBlock",
    "ControlledModel",
    "DataError",
    "MissingExtra",
    "MissingWeights",
    "PlanError",
    "Residuals",
    "ServiceError",
    "SettingError",
    "ShapeError",
    "TrainingPlan",
    "TrainingStopped",
    "UnknownName",
    "add_decoder",
    "add_embedding",
    "add_lora",
    "annotate",
    "condition",
    "conditions",
    "convert",
    "denoise",
    "evaluate",
    "extended",
    "feathered",
    "generate",
    "generate_frames",
    "hires",
    "inpaint",
    "inpaint_hint",
    "load_base",
    "load_controlnet",
    "outpaint",
    "save_controlnet",
    "train",
    "upscale",
]


def __getattr__(name: str) -> Any:
    if (
        name == "conditions"
    ):  # the package itself, which is callable: importing it puts it here under this name
        return import_module("controlnet.conditions")
    if name not in _HOME_OF:
        raise AttributeError(unknown("name in controlnet", name, __all__))
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Training: `TrainingPlan` says what, `train` does it; killed at any moment, it resumes exactly."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controlnet.training.events import Event as Event
    from controlnet.training.events import Listener as Listener
    from controlnet.training.plan import TrainingPlan as TrainingPlan
    from controlnet.training.result import TrainingResult as TrainingResult
    from controlnet.training.trainer import train as train

# Imported when asked for: a plan is read and refused without waiting for torch.
_HOME = {
    "Event": "events",
    "Listener": "events",
    "TrainingPlan": "plan",
    "TrainingResult": "result",
    "train": "trainer",
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

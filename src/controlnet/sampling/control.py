"""What a control is at sampling time: a ControlNet, its image, how much, when, where and for which pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal

from torch import Tensor

from controlnet.conditions._image import Picture
from controlnet.core.backbone import Tap
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import unknown

Mode = Literal["balanced", "prompt", "control", "unbalanced"]
Law = Literal["cldm", "diffusers", "paper"]

MODES: Final[dict[Mode, str]] = {
    "balanced": "Balanced",
    "prompt": "My prompt is more important",
    "control": "ControlNet is more important",
    "unbalanced": "Unbalanced",
}
LAWS: Final[tuple[Law, ...]] = ("cldm", "diffusers", "paper")


@dataclass(frozen=True, eq=False)
class Control:
    """One ControlNet with its control image and the way it takes part.

    image: PIL picture, uint8 array (H, W, 3) or path, resized to the output; or a tensor (B|1, C, H, W) in
    [0, 1], used as it is. weight: factor on every residual. start, end: part of the steps, in [0, 1] (see
    `acts`). mode: one of `MODES`, or the name that the web UI shows for it. mask: where the control acts, a
    picture whose white acts and black does not, or a tensor (B|1, 1, H, W) in [0, 1]; None means everywhere.

    Raises SettingError for values out of range, UnknownName for an unknown mode.
    """

    net: ControlNet
    image: Picture | Tensor
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: Mode = "balanced"
    mask: Picture | Tensor | None = None

    def __post_init__(self) -> None:
        if not isfinite(self.weight):
            raise SettingError(
                f"got a control weight of {self.weight}; wanted a finite number, usually 0 to 2"
            )
        if not 0.0 <= self.start <= self.end <= 1.0:
            raise SettingError(
                f"got a control from start={self.start} to end={self.end}; wanted 0 <= start <= end <= 1, "
                "as parts of all steps"
            )
        object.__setattr__(self, "mode", mode_of(self.mode))

    def acts(self, index: int, count: int) -> bool:
        """Say whether the control is on at step `index` of `count`.

        The rule of diffusers: off where index/count < start or (index+1)/count > end. (The web UI's rule is
        off where index/count > end, hence one step more at the end.)
        """
        inside = index / count >= self.start and (index + 1) / count <= self.end
        return inside and self.weight != 0.0

    @property
    def conditional_only(self) -> bool:
        """Whether the unconditional pass goes without this control.

        So for the modes "control" and "unbalanced", and for globally pooled ControlNets (shuffle), which were
        published to be used so.
        """
        return self.mode in ("control", "unbalanced") or self.net.settings.global_pool

    def weights(self) -> tuple[float, ...]:
        """Give the factor of each residual: weight, in the modes "prompt" and "control" by the soft law."""
        if self.mode in ("prompt", "control"):
            return tuple(self.weight * factor for factor in soft_weights(self.net.taps))
        return (self.weight,) * len(self.net.taps)

    def effect(self, steps: int) -> str | None:
        """Say why the control would change nothing in `steps` steps, or None where it acts."""
        if self.weight == 0.0:
            return "its weight is 0"
        if not any(self.acts(index, steps) for index in range(steps)):
            return f"no one of the {steps} steps lies wholly between start={self.start} and end={self.end}"
        if not any(bool(p.any()) for p in self.net.zeros.parameters()):
            return "the zero convolutions of its ControlNet are still zero: it is not trained"
        if isinstance(self.mask, Tensor) and not bool(self.mask.any()):
            return "its mask is black everywhere"
        return None


def mode_of(name: str) -> Mode:
    """Find a control mode by its name here or in the web UI; UnknownName lists the near ones."""
    wanted = name.strip().lower()
    for mode, label in MODES.items():
        if wanted in (mode, label.lower()):
            return mode
    raise UnknownName(unknown("control mode", name, MODES))


def soft_weights(taps: Sequence[Tap], law: Law = "cldm") -> tuple[float, ...]:
    """Give a factor for each tap that leaves more to the prompt; the middle comes last.

    "cldm": 0.825^(n-i) for i = 0..n, of the published code; n = 12 in Stable Diffusion, and the count of taps
    less one elsewhere, so that the middle always has 1. "diffusers": logspace(-1, 0, n+1), its guess mode.
    "paper": 64/h_i as written in section 3.4 (CFG resolution weighting), h_i from 64 to 8, about eight times
    "cldm". Three different laws: never mixed.
    """
    last = len(taps) - 1
    if law == "cldm":
        return tuple(0.825 ** (last - i) for i in range(last + 1))
    if law == "diffusers":
        return tuple(10.0 ** (i / max(last, 1) - 1.0) for i in range(last + 1))
    if law == "paper":
        return tuple(float(tap.stride) for tap in taps)
    raise UnknownName(unknown("law of soft weights", law, LAWS))

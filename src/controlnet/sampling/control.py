"""What a control is at sampling time: a ControlNet, its image, how much, when, where and for which pass."""

from dataclasses import KW_ONLY, dataclass
from math import isfinite
from typing import Final, Literal, get_args

from torch import Tensor

from controlnet.conditions._image import Picture
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import unknown
from controlnet.sampling.schedule import Schedule
from controlnet.sampling.tap_weights import LAWS, Law, TapWeights, soft_weights, weights_of

__all__ = ["LAWS", "MODES", "RULES", "Control", "Law", "Mode", "Rule", "mode_of", "soft_weights"]

Mode = Literal["balanced", "prompt", "control", "unbalanced"]
Rule = Literal["diffusers", "webui"]

MODES: Final[dict[Mode, str]] = {
    "balanced": "Balanced",
    "prompt": "My prompt is more important",
    "control": "ControlNet is more important",
    "unbalanced": "Unbalanced",
}
RULES: Final[tuple[Rule, ...]] = get_args(Rule)

_SOFT: Final = ("prompt", "control")
_CONDITIONAL_ONLY: Final = ("control", "unbalanced")
_GUESS: Final = ("guess", "guess mode")


@dataclass(frozen=True, eq=False)
class Control:
    """One ControlNet with its control image and the way it takes part.

    image: PIL picture, uint8 array (H, W, 3) or path, resized to the output; or a tensor (B|1, C, H, W) in
    [0, 1], used as it is. weight: factor on every residual, or a `Schedule` of it over the steps. start, end:
    part of the steps, in [0, 1]; rule: which steps that means (see `acts`). mode: one of `MODES`, the name
    that the web UI shows for it, or "guess", which is "control" (see `weights`); law: one of `LAWS`, of the
    soft weights in the modes that have them, "cldm" unless told. taps: factors by tap besides, by name
    ({"middle": 0.5}) or one for each. mask: where the control acts, a picture whose white acts and black does
    not, or a tensor (B|1, 1, H, W) in [0, 1], any size; None means everywhere.

    Raises SettingError for values out of range and for a law in a mode without soft weights, UnknownName for
    unknown modes, laws, rules and taps.
    """

    net: ControlNet
    image: Picture | Tensor
    weight: float | Schedule = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: Mode = "balanced"
    mask: Picture | Tensor | None = None
    _: KW_ONLY
    law: Law | None = None
    taps: TapWeights | None = None
    rule: Rule = "diffusers"

    def __post_init__(self) -> None:
        if not isinstance(self.weight, Schedule) and not isfinite(self.weight):
            raise SettingError(
                f"got a control weight of {self.weight}; wanted a finite number, usually 0 to 2"
            )
        if not 0.0 <= self.start <= self.end <= 1.0:
            raise SettingError(
                f"got a control from start={self.start} to end={self.end}; wanted 0 <= start <= end <= 1, "
                "as parts of all steps"
            )
        if self.rule not in RULES:
            raise UnknownName(unknown("rule for start and end", self.rule, RULES))
        object.__setattr__(self, "mode", mode_of(self.mode))
        if self.law is not None and self.law not in LAWS:
            raise UnknownName(unknown("law of soft weights", self.law, LAWS))
        if self.law is not None and self.mode not in _SOFT:
            raise SettingError(
                f"got the law {self.law!r} in mode {self.mode!r}, which has no soft weights; wanted mode "
                f"{' or '.join(_SOFT)} with it"
            )
        if self.taps is not None:
            object.__setattr__(self, "taps", weights_of(self.net.taps, self.taps))

    def acts(self, index: int, count: int) -> bool:
        """Say whether the control is on at step `index` of `count`: inside its interval, its weight not 0.

        Outside is, by the rule of diffusers, index/count < start or (index+1)/count > end; by that of the web
        UI, index/count < start or index/count > end, which is one step more unless the end is that of all.
        """
        last = (index + 1 if self.rule == "diffusers" else index) / count
        inside = index / count >= self.start and last <= self.end
        return inside and self.weight_at(index, count) != 0.0 and (self.taps is None or any(self._by_tap()))

    def weight_at(self, index: int, count: int) -> float:
        """Give the factor on all residuals at step `index` of `count`, whether inside the interval or not."""
        return self.weight.at(index, count) if isinstance(self.weight, Schedule) else self.weight

    @property
    def conditional_only(self) -> bool:
        """Whether the unconditional pass goes without this control.

        So for the modes "control" and "unbalanced", and for globally pooled ControlNets (shuffle), which were
        published to be used so.
        """
        return self.mode in _CONDITIONAL_ONLY or self.net.settings.global_pool

    def weights(self, index: int = 0, count: int = 1) -> tuple[float, ...]:
        """Give the factor of each residual at a step: weight, times soft weights, times those by tap.

        Soft weights come in the modes "prompt" and "control". Guess mode is the latter: with law="cldm" that
        of the published code, with "diffusers" that of diffusers, with "paper" its guidance resolution
        weighting.
        """
        weight = self.weight_at(index, count)
        return tuple(weight * factor for factor in self._by_tap())

    def effect(self, steps: int) -> str | None:
        """Say why the control would change nothing in `steps` steps, or None where it acts."""
        if not any(self.weight_at(index, steps) for index in range(steps)):
            return "its weight is 0"
        by_tap = dict(zip((tap.name for tap in self.net.taps), self._by_tap(), strict=True))
        if not any(by_tap.values()):
            return "its weights by tap are all 0"
        if not any(self.acts(index, steps) for index in range(steps)):
            kind = "lies wholly" if self.rule == "diffusers" else "begins"
            weight = "" if isinstance(self.weight, float | int) else " with a weight other than 0"
            return f"no one of the {steps} steps {kind} between start={self.start} and end={self.end}{weight}"
        awake = [
            name for name, zero in self.net.zeros.items() if any(bool(p.any()) for p in zero.parameters())
        ]
        if not awake:
            return "the zero convolutions of its ControlNet are still zero: it is not trained"
        if not any(by_tap[name] for name in awake):
            return f"its weights by tap are 0 wherever its ControlNet has residuals: {', '.join(awake)}"
        if isinstance(self.mask, Tensor) and not bool(self.mask.any()):
            return "its mask is black everywhere"
        return None

    def _by_tap(self) -> tuple[float, ...]:
        soft = soft_weights(self.net.taps, self.law or "cldm") if self.mode in _SOFT else None
        own = None if self.taps is None else weights_of(self.net.taps, self.taps)
        if soft is None or own is None:
            return soft or own or (1.0,) * len(self.net.taps)
        return tuple(a * b for a, b in zip(soft, own, strict=True))


def mode_of(name: str) -> Mode:
    """Find a control mode by its name here or in the web UI; UnknownName lists the near ones."""
    wanted = name.strip().lower()
    if wanted in _GUESS:
        return "control"
    for mode, label in MODES.items():
        if wanted in (mode, label.lower()):
            return mode
    raise UnknownName(unknown("control mode", name, MODES))

"""ControlSettings: the few choices that make one ControlNet differ from another on the same base."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict, final, get_args

from controlnet.core.hint import WIDTHS, HintForm
from controlnet.core.zero import Init
from controlnet.errors import SettingError
from controlnet.nearest import unknown

CopyKind = Literal["full", "lite"]
Connect = Literal["all", "middle"]
_CHOICES = {"hint": HintForm, "init": Init, "copy": CopyKind, "connect": Connect}


class Changes(TypedDict, total=False):
    """The settings keyword by keyword, as `ControlNet.from_base` takes them."""

    hint: HintForm
    init: Init
    copy: CopyKind
    connect: Connect
    condition_channels: int
    global_pool: bool
    hint_widths: tuple[int, ...]


@final
@dataclass(frozen=True)
class ControlSettings:
    """The defaults are those of the published weights; SettingError for a value that is not offered.

    hint                 form of the hint encoder (see `hint`); "unshuffle" learns soonest from scratch,
                         "centred" where maps are bright all over; "vae" reads the base's latents of the
                         condition, as many channels as they have: condition_channels=base.latent_channels
    init                 how each Z starts; "gaussian" is the paper's ablation
    copy                 what stands beside the base; "lite" is the paper's ablation (see `lite`)
    connect              "middle" cuts all links to the decoder but the middle one (paper, section 3.3)
    condition_channels   K of the condition (B,K,H,W)
    global_pool          every residual becomes its mean over the picture, as version 1.1 does for "shuffle"
    hint_widths          channels of the published hint encoder; its stride is 2 for each after the first
    """

    hint: HintForm = "published"
    init: Init = "zero"
    copy: CopyKind = "full"
    connect: Connect = "all"
    condition_channels: int = 3
    global_pool: bool = False
    hint_widths: tuple[int, ...] = WIDTHS

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise SettingError(unknown(f"kind of {name}", str(getattr(self, name)), get_args(choices)))
        if not self.hint_widths or min(self.condition_channels, *self.hint_widths) < 1:
            got = f"condition_channels={self.condition_channels}, hint_widths={self.hint_widths}"
            raise SettingError(f"got {got}; wanted whole numbers from 1")

    @property
    def reads_latents(self) -> bool:
        """Whether the hint encoder reads the condition as the base's latents, and not its pixels."""
        return self.hint == "vae"

    @property
    def stride(self) -> int:
        """How many pixels of the condition, along each side, make one latent: 8 for Stable Diffusion.

        1 where the condition is read as latents.
        """
        return 1 if self.reads_latents else 2 ** (len(self.hint_widths) - 1)

"""The U-Net of Anime2Sketch, which draws the lines of anime: netG.pth.

    picture ─ 64 ─ 128 ─ 256 ─ 512 ─ 512 ─ 512 ─ 512 ─ 512        each at half the size of the one before
                │     │     │     │     │     │     │     │
    drawing ─ 64 ─ 128 ─ 256 ─ 512 ─ 512 ─ 512 ─ 512 ──┘          each from the coarser and the one above

Sources: Xiang et al., Adversarial Open Domain Adaptation for Sketch-to-Photo Synthesis, arXiv 2104.05703
(Anime2Sketch); Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, 1611.07004
(the network). Checked against sd-webui-controlnet 56cec5b with the same random weights: the drawings are the
same.

Legend: B batch; H W picture.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Final, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

WIDTHS: Final = (64, 128, 256, 512, 512, 512, 512, 512)


@final
class Anime2Sketch(nn.Module):
    """Drawings: (B, 3, H, W), RGB in 0 … 255, to (B, H, W) in 0 … 1, dark lines on white.

    H and W are multiples of 256. `slim` divides all widths: for tests.
    """

    def __init__(self, slim: int = 1) -> None:
        super().__init__()
        widths = [width // slim for width in WIDTHS]
        self.down = nn.ModuleList(_down(*pair) for pair in pairwise([3, *widths]))
        # Of what comes up, half is the level's own features; the deepest has no level below.
        given = [*(2 * width for width in widths[:-1]), widths[-1]]
        self.up = nn.ModuleList(_up(*pair) for pair in zip(given, [1, *widths[:-1]], strict=True))

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b H W"]:
        x, features = pictures / 127.5 - 1, list[Tensor]()
        deepest = len(self.down) - 1
        for level, down in enumerate(self.down):
            x = down(F.leaky_relu(x, 0.2) if level else x)
            if 0 < level < deepest:
                x = F.instance_norm(x)
            features.append(x)
        for level in range(deepest, -1, -1):
            joined = x if level == deepest else torch.cat([features[level], x], dim=1)
            x = self.up[level](F.relu(joined))
            x = F.instance_norm(x) if level else x
        return (x.tanh()[:, 0] + 1) / 2

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name the tensors as this module does: by level, not each level within the one above."""
        names = _own_names()
        named: dict[str, Tensor] = {}
        for key, value in state.items():
            layer, _, what = key.removeprefix("module.").rpartition(".")
            named[f"{names.get(layer, layer)}.{what}"] = value
        return named


def _down(came: int, width: int) -> nn.Conv2d:
    return nn.Conv2d(came, width, 4, stride=2, padding=1)


def _up(came: int, width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(came, width, 4, stride=2, padding=1)


def _own_names() -> dict[str, str]:
    """Return the names of the file's layers with those of this module's: each level lies in the one above."""
    named: dict[str, str] = {}
    within, deepest = "model", len(WIDTHS) - 1
    for level in range(len(WIDTHS)):
        # A level: activation, down, norm, the level below, activation, up. The top lacks the first and the
        # third, the deepest the third and the fourth.
        down, below, up = (0, 1, 3) if level == 0 else (1, 3, 3 if level == deepest else 5)
        named[f"{within}.model.{down}"] = f"down.{level}"
        named[f"{within}.model.{up}"] = f"up.{level}"
        within += f".model.{below}"
    return named

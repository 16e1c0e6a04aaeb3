"""PiDiNet, which sees soft edges by differences of pixels: table5_pidinet.pth.

    picture ─ 60 at 1/1 ─ 120 at 1/2 ─ 240 at 1/4 ─ 240 at 1/8       in turn: plain, central, angular, radial
                 │           │            │            │
                 └───────────┴────────────┴── each seen from afar, weighed, reduced to one map
                                              └── the four fused ── edges at 1/1

Source: Su et al., Pixel Difference Networks for Efficient Edge Detection, arXiv 2108.07009. A convolution of
differences is linear in its picture, so the differences are folded into plain kernels when the file is
loaded: a 3×3 of central or angular differences remains 3×3, one of radial differences becomes 5×5. Checked
against sd-webui-controlnet 56cec5b with the same random weights: max |Δ| of the log-odds = 4e-6 (they vary by
0.4); of 55,488 pixels of its map twelve differ, by 1, of the safe map and the scribble none.

Legend: B batch; H W picture; o i a kernel's outputs and inputs.
"""

import re
from collections.abc import Mapping
from typing import Final, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STAGES: Final = ((60, 3), (120, 4), (240, 4), (240, 4))  # width, blocks
KINDS: Final = ("central", "angular", "radial", "plain")  # of the first kernel and the 15 blocks, in turn
SEEN: Final = 24  # channels of what is seen from afar
REACHES: Final = (5, 7, 9, 11)

# Of each place of a 3×3 kernel the one before it, going clockwise around the centre.
_CLOCKWISE: Final = (3, 0, 1, 6, 4, 2, 7, 8, 5)
# Where the last eight of the nine numbers lie in a 5×5 kernel: on its rim, and on the ring within.
_RIM: Final = (0, 2, 4, 10, 14, 20, 22, 24)
_RING: Final = (6, 7, 8, 11, 13, 16, 17, 18)

_RENAMED: Final = (
    (r"^module\.", ""),
    (r"^conv_reduces\.(\d)\.conv\.", r"sides.\1.reduce."),
    (r"^attentions\.(\d)\.conv(\d)\.", r"sides.\1.weigh\2."),
    (r"^dilations\.(\d)\.conv1\.", r"sides.\1.narrow."),
    (r"^dilations\.(\d)\.conv2_(\d)\.", r"sides.\1.seen\2."),
)


@final
class PiDiNet(nn.Module):
    """Soft edges: (B, 3, H, W), **BGR** in 0 … 1, to (B, H, W), the log-odds of an edge. H, W from 8 on."""

    def __init__(self) -> None:
        super().__init__()
        came = STAGES[0][0]
        self.init_block = nn.Conv2d(3, came, 3, padding=1, bias=False)
        for name, width, kind in _blocks():
            shrinks = name.endswith("_1") and name != "block1_1"
            self.add_module(name, _Block(came, width, radial=kind == "radial", shrinks=shrinks))
            came = width
        self.sides = nn.ModuleList(_Side(width) for width, _ in STAGES)
        self.classifier = nn.Conv2d(len(STAGES), 1, 1)

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b H W"]:
        x, found = self.init_block(pictures), list[Tensor]()
        for stage, side in enumerate(self.sides):
            for block in range(STAGES[stage][1]):
                x = self.get_submodule(f"block{stage + 1}_{block + 1}")(x)
            found.append(F.interpolate(side(x), pictures.shape[2:], mode="bilinear"))
        return self.classifier(torch.cat(found, dim=1))[:, 0]

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name the tensors as this module does, and fold kernels of differences into plain ones."""
        kinds = {f"{name}.conv1.weight": kind for name, _, kind in _blocks()}
        kinds["init_block.weight"] = KINDS[0]
        named: dict[str, Tensor] = {}
        for key, value in state.items():
            for old, new in _RENAMED:
                key = re.sub(old, new, key)
            folds = key in kinds and value.shape[2:] == (3, 3)  # else loading will refuse it
            named[key] = _folded(value, kinds[key]) if folds else value
        return named


class _Block(nn.Module):
    def __init__(self, came: int, width: int, radial: bool, shrinks: bool) -> None:
        super().__init__()
        side = 5 if radial else 3
        self.conv1 = nn.Conv2d(came, came, side, padding=side // 2, groups=came, bias=False)
        self.conv2 = nn.Conv2d(came, width, 1, bias=False)
        self.shortcut = nn.Conv2d(came, width, 1) if shrinks else None

    def forward(self, x: Tensor) -> Tensor:
        if self.shortcut is None:
            return x + self.conv2(F.relu(self.conv1(x)))
        x = F.max_pool2d(x, 2)
        return self.shortcut(x) + self.conv2(F.relu(self.conv1(x)))


class _Side(nn.Module):
    """A stage's features to one map: seen from four reaches, weighed place by place, reduced."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(width, SEEN, 1)
        for number, reach in enumerate(REACHES, 1):
            seen = nn.Conv2d(SEEN, SEEN, 3, padding=reach, dilation=reach, bias=False)
            self.add_module(f"seen{number}", seen)
        self.weigh1 = nn.Conv2d(SEEN, 4, 1)
        self.weigh2 = nn.Conv2d(4, 1, 3, padding=1, bias=False)
        self.reduce = nn.Conv2d(SEEN, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(F.relu(x))
        x = torch.stack([self.get_submodule(f"seen{i + 1}")(x) for i in range(len(REACHES))]).sum(dim=0)
        return self.reduce(x * torch.sigmoid(self.weigh2(self.weigh1(F.relu(x)))))


def _blocks() -> list[tuple[str, int, str]]:
    """Return the name, the width and the kind of each block, in order."""
    found: list[tuple[str, int, str]] = []
    for stage, (width, blocks) in enumerate(STAGES, 1):
        for block in range(1, blocks + 1):
            found.append((f"block{stage}_{block}", width, KINDS[(len(found) + 1) % len(KINDS)]))
    return found


def _folded(kernel: Float[Tensor, "o i 3 3"], kind: str) -> Float[Tensor, "o i k k"]:
    """Return the plain kernel that does to a picture what this one does to differences of its pixels.

    central: each pixel minus the middle one; angular: minus its neighbour on the circle; radial: the rim of
    5×5 minus the ring within it.
    """
    flat = kernel.flatten(2)
    if kind == "central":
        plain = flat.clone()
        plain[:, :, 4] -= flat.sum(dim=2)
        return plain.view_as(kernel)
    if kind == "angular":
        return (flat - flat[:, :, _CLOCKWISE]).view_as(kernel)
    if kind == "radial":
        plain = kernel.new_zeros(*kernel.shape[:2], 25)
        plain[:, :, _RIM] = flat[:, :, 1:]
        plain[:, :, _RING] = -flat[:, :, 1:]
        return plain.unflatten(2, (5, 5))
    return kernel

"""The Inception network of the Fréchet distance, with the layout of its published PyTorch weights.

It is not the Inception v3 of today's libraries: the weights are those of TensorFlow's model of December 2015,
whose mean pooling leaves the padding out, whose last block has a maximum where the others have a mean, and
which names 1,008 classes. Source: Szegedy et al. 1512.00567; Heusel et al. 1706.08500.
"""

from collections.abc import Sequence
from typing import Final, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from controlnet.conditions._networks.load import device
from controlnet.conditions._weights import Weights
from controlnet.evaluation.metric import Pixels

SIDE: Final = 299
WEIGHTS: Final = Weights(
    repo="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights",
    file="pt_inception-2015-12-05-6726825d.pth",
    megabytes=95.6,
    licence="Apache-2.0",
    sha256="6726825d",
    advice="torch-fidelity's weights-inception-2015-12-05-6726825d.pth is the same file",
)

Kernel = int | tuple[int, int]
Step = tuple[str, int, Kernel] | tuple[str, int, Kernel, int]
"""A convolution: name, channels out, kernel, and the stride where it is not 1."""


class _Conv(nn.Module):
    def __init__(self, inner: int, outer: int, kernel: Kernel, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inner, outer, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outer, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    """Paths side by side, each a chain of convolutions, perhaps pooled first, perhaps forked at its end."""

    def __init__(self, inner: int, paths: Sequence[Sequence[Step | str | Sequence[Step]]]) -> None:
        super().__init__()
        self._paths: list[list[str | tuple[str, ...]]] = []
        for path in paths:
            width, names = inner, list[str | tuple[str, ...]]()
            for step in path:
                if isinstance(step, str):
                    names.append(step)
                elif isinstance(step[0], str):
                    width = self._add(width, step)  # type: ignore[arg-type]
                    names.append(step[0])
                else:
                    for one in step:
                        self._add(width, one)  # type: ignore[arg-type]
                    names.append(tuple(one[0] for one in step))  # type: ignore[index,misc]
            self._paths.append(names)

    def _add(self, width: int, step: Step) -> int:
        name, outer, kernel, *stride = step
        # Where the map shrinks, nothing is padded.
        self.add_module(name, _Conv(width, outer, kernel, *stride, padded=not stride))
        return outer

    def forward(self, x: Tensor) -> Tensor:
        found: list[Tensor] = []
        for path in self._paths:
            y = x
            for name in path:
                if name == "mean":
                    y = F.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
                elif name == "max":
                    y = F.max_pool2d(y, 3, 1, 1)
                elif name == "shrink":
                    y = F.max_pool2d(y, 3, 2)
                elif isinstance(name, str):
                    y = self.get_submodule(name)(y)
                else:
                    y = torch.cat([self.get_submodule(one)(y) for one in name], dim=1)
            found.append(y)
        return torch.cat(found, dim=1)


def _five(inner: int, pooled: int) -> _Mixed:
    three = [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)]
    five = [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)]
    return _Mixed(inner, [[("branch1x1", 64, 1)], five, three, ["mean", ("branch_pool", pooled, 1)]])


def _seven(width: int) -> _Mixed:
    across, down = (1, 7), (7, 1)
    once = [("branch7x7_1", width, 1), ("branch7x7_2", width, across), ("branch7x7_3", 192, down)]
    kernels = [1, down, across, down, across]
    twice = [(f"branch7x7dbl_{n}", 192 if n == 5 else width, kernel) for n, kernel in enumerate(kernels, 1)]
    return _Mixed(768, [[("branch1x1", 192, 1)], once, twice, ["mean", ("branch_pool", 192, 1)]])


def _last(inner: int, pooling: str) -> _Mixed:
    def fork(name: str) -> list[Step]:
        return [(f"{name}a", 384, (1, 3)), (f"{name}b", 384, (3, 1))]

    three = [("branch3x3_1", 384, 1), fork("branch3x3_2")]
    double = [("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3), fork("branch3x3dbl_3")]
    return _Mixed(inner, [[("branch1x1", 320, 1)], three, double, [pooling, ("branch_pool", 192, 1)]])


@final
class Inception(nn.Module):
    """Pictures (B, 3, 299, 299) of −1 … 1 to features (B, 2048)."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, 2, padded=False)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _five(192, 32), _five(256, 64), _five(288, 64)
        double = [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2)]
        self.Mixed_6a = _Mixed(288, [[("branch3x3", 384, 3, 2)], double, ["shrink"]])
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d = _seven(128), _seven(160), _seven(160)
        self.Mixed_6e = _seven(192)
        seven = [("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1))]
        three = [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2)]
        self.Mixed_7a = _Mixed(768, [three, [*seven, ("branch7x7x3_4", 192, 3, 2)], ["shrink"]])
        self.Mixed_7b, self.Mixed_7c = _last(1280, "mean"), _last(2048, "max")
        self.fc = nn.Linear(2048, 1008)  # in the file; features do not pass it

    @staticmethod
    def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Add the counters of the normalisation layers where a file lacks them."""
        counters = {
            key.replace("running_mean", "num_batches_tracked"): torch.zeros((), dtype=torch.long)
            for key in state
            if key.endswith("running_mean")
        }
        return counters | state

    def forward(self, x: Tensor) -> Tensor:
        """Return the features before the last layer, meant over the picture."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean(dim=(2, 3))


def clean(picture: Pixels) -> Tensor:
    """Bring a picture to 299×299 as clean-fid does: Pillow's bicubic, in floating point, cut to 0 … 255."""
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        for plane in picture.transpose(2, 0, 1)
    ]
    return torch.from_numpy(np.stack(planes)).clamp(0, 255)[None]


def tensorflow(picture: Pixels) -> Tensor:
    """Bring a picture to 299×299 as TensorFlow 1 and torch-fidelity do: bilinear from the corner on."""
    x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float()
    for dim in (2, 3):
        length = x.shape[dim]
        place = torch.arange(SIDE, dtype=torch.float32) * (length / SIDE)
        low = place.floor().long()
        share = (place - low).view(-1, *(1,) * (3 - dim))
        x = torch.lerp(x.index_select(dim, low), x.index_select(dim, (low + 1).clamp(max=length - 1)), share)
    return x


@torch.no_grad()
def features(network: nn.Module, resized: Tensor) -> np.ndarray:
    """Return the features (D,) of a picture (1, 3, 299, 299) of 0 … 255."""
    return network((resized.to(device()) - 128) / 128)[0].double().cpu().numpy()

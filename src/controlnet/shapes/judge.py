"""The judge: a small network that reads the world back from a picture, and what it has read.

It is the embedded annotator of depth, normals, classes and pose, and the instrument that says whether a
generated picture shows what its caption asks for. `quality()` tells how well it reads true pictures.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from controlnet.errors import CheckpointError, DataError
from controlnet.shapes.palette import CLASSES, COLOURS, FLOORS, SKIES

WEIGHTS: Final = Path(__file__).parent / "weights" / "judge"
WIDTHS: Final = (24, 48, 80, 96)  # at 1/2, 1/4, 1/8 and 1/16 of the picture's side
JOINTS: Final = 18
TINTS: Final = 1 + len(COLOURS)  # 0: no named colour
NEAR: Final = 4.0  # world units; inverse depth is told as NEAR / depth, about 0 … 1
FAINTEST: Final = 0.1  # of NEAR / depth: the floor's horizon, beyond which there is only sky
BATCH: Final = 16
SEEN: Final = 0.5  # probability above which a keypoint counts as seen
PERSON: Final = 25  # pixels of class "person" that make a mannequin
_MEND: Final = "install the released package, or train the judge with `controlnet shapes`"
_DENSE: Final = (len(CLASSES), TINTS, 1, 3)
_GLOBAL: Final = (len(FLOORS), len(SKIES), JOINTS)


class Heads(NamedTuple):
    """What the network says of B pictures of H×W.

    classes (B, 8, H, W) and tints (B, 9, H, W), logits; depth (B, 1, H, W), NEAR / depth and 0 in the sky;
    normals (B, 3, H, W), unit length, in camera axes; joints (B, 18, H/2·W/2 + 1), logits of where each
    keypoint is, the last one for nowhere; floor (B, 5) and sky (B, 4), logits.
    """

    classes: Tensor
    tints: Tensor
    depth: Tensor
    normals: Tensor
    joints: Tensor
    floor: Tensor
    sky: Tensor


@dataclass(frozen=True)
class Reading:
    """What the judge sees in a picture of H×W pixels; the fields mean what they mean in a rendered `View`.

    depth (H, W) float32 in world units, inf in the sky; normals (H, W, 3) float32, 0 in the sky; classes and
    tints (H, W) uint8; keypoints (18, 3) float32, x and y in pixels and a score of 0 where not seen, or None;
    the names of floor and sky.
    """

    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    classes: NDArray[np.uint8]
    tints: NDArray[np.uint8]
    keypoints: NDArray[np.float32] | None
    floor: str
    sky: str

    def control(self, name: str) -> NDArray[np.uint8]:
        """Draw a true map of `draw_control` ("depth", "openpose", "lineart" …) as seen, (H, W, 3) uint8."""
        from controlnet.shapes.controls import draw_control

        return draw_control(self, name)


class _Block(nn.Module):
    """A residual pair of 3×3 convolutions; the second starts at zero, so that depth is free at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(F.relu(self.first(F.relu(x))))


@final
class Judge(nn.Module):
    """A U-Net over pixel-unshuffled pictures, thin where the maps are large, without normalisation layers.

    0.8 million parameters. Trained on 128×128 pictures; it takes other sizes, but its sense of where things
    stand is that of the world's own camera.
    """

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, least = WIDTHS
        self.stem = nn.Conv2d(3 * 4, half, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(WIDTHS))
        self.encoder = nn.ModuleList(_Block(width) for width in (half, quarter, eighth))
        self.middle = nn.Sequential(_Block(least), _Block(least))
        self.up = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairwise(WIDTHS[::-1]))
        self.decoder = nn.ModuleList(_Block(width) for width in (eighth, quarter, half))
        self.dense = nn.Conv2d(half, 4 * sum(_DENSE), 1)
        self.joints = nn.Conv2d(quarter, 4 * JOINTS, 1)
        self.whole = nn.Sequential(nn.Linear(least, least), nn.ReLU(), nn.Linear(least, sum(_GLOBAL)))

    def forward(self, pictures: Tensor) -> Heads:
        """Read pictures (B, 3, H, W) in [−1, 1], H and W divisible by 16."""
        x, skips = self._narrowed(pictures)  # B 96 H/16 W/16
        floor, sky, nowhere = self.whole(x.mean(dim=(2, 3))).split(_GLOBAL, dim=1)
        joints = nowhere
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(F.interpolate(up(x), scale_factor=2.0) + skips.pop())
            if len(skips) == 1:  # B 48 H/4 W/4
                joints = F.pixel_shuffle(self.joints(F.relu(x)), 2).flatten(2)
        dense = F.pixel_shuffle(self.dense(F.relu(x)), 2)
        classes, tints, depth, normals = dense.split(_DENSE, dim=1)
        places = torch.cat([joints, nowhere[..., None]], dim=-1)
        return Heads(classes, tints, depth, F.normalize(normals, dim=1), places, floor, sky)

    def _narrowed(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = self.stem(F.pixel_unshuffle(pictures, 2))  # B 24 H/2 W/2
        skips: list[Tensor] = []
        for block, down in zip(self.encoder, self.down, strict=True):
            x = block(x)
            skips.append(x)
            x = down(F.relu(x))
        return self.middle(x), skips

    @torch.no_grad()
    def look(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Return features (N, 96) of pictures as `read` takes them: the narrowest layer, meant over each."""
        found = [
            self._narrowed(x)[0].mean(dim=(2, 3)).double().cpu().numpy()
            for x, _, _ in self._batches(pictures)
        ]
        return np.concatenate(found) if found else np.zeros((0, WIDTHS[-1]))

    @torch.no_grad()
    def read(self, pictures: Sequence[NDArray[np.uint8]]) -> list[Reading]:
        """Read pictures, each uint8 (H, W, 3) and all of one size; raises DataError for others."""
        found: list[Reading] = []
        for x, height, width in self._batches(pictures):
            found += _readings(self(x), height, width)
        return found

    def _batches(self, pictures: Sequence[NDArray[np.uint8]]) -> Iterator[tuple[Tensor, int, int]]:
        """Yield pictures in [−1, 1], filled up to sides divisible by 16, with their own height and width."""
        checked, device = _checked(pictures), next(self.parameters()).device
        for start in range(0, len(checked), BATCH):
            stack = np.stack(checked[start : start + BATCH])
            height, width = stack.shape[1:3]
            x = torch.from_numpy(stack).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
            yield F.pad(x, (0, -width % 16, 0, -height % 16), mode="replicate"), height, width


def load_judge(path: Path = WEIGHTS / "judge.safetensors") -> Judge:
    """Load the embedded judge, in evaluation mode; raises CheckpointError where its weights are not there."""
    judge = Judge()
    try:
        weights = load_file(path)
        judge.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"cannot load a judge from {path} ({error}); {_MEND}") from error
    return judge.eval().requires_grad_(False)


@cache
def embedded_judge() -> Judge:
    """Give the one embedded judge that annotators and metrics share, loaded when first asked for."""
    return load_judge()


def quality() -> dict[str, float]:
    """Tell how well the embedded judge reads true pictures of a world that it has not seen in training.

    The measures are those of `recipe.judge.measure`. Raises CheckpointError where they are not there.
    """
    path = WEIGHTS / "quality.json"
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise CheckpointError(f"cannot read {path} ({error.strerror}); {_MEND}") from error


def _checked(pictures: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    for picture in pictures:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise DataError(f"got a picture of {picture.dtype} {picture.shape}; wanted uint8 of H×W×3")
    if len({picture.shape for picture in pictures}) > 1:
        got = ", ".join(sorted({str(picture.shape) for picture in pictures}))
        raise DataError(f"got pictures of {got}; wanted all of one size: read them size by size")
    return list(pictures)


def _readings(heads: Heads, height: int, width: int) -> list[Reading]:
    """Turn logits into readings, cut to height×width."""
    classes = heads.classes.argmax(1).byte()[:, :height, :width].cpu().numpy()
    tints = heads.tints.argmax(1).byte()[:, :height, :width].cpu().numpy()
    sky = classes == CLASSES.index("sky")
    inverse = heads.depth[:, 0, :height, :width].cpu().numpy()
    depth = np.where(sky, np.inf, NEAR / np.maximum(inverse, FAINTEST)).astype(np.float32)
    normals = heads.normals.permute(0, 2, 3, 1)[:, :height, :width].cpu().numpy() * ~sky[..., None]
    keypoints = place_joints(heads.joints, heads.classes.shape[-1] // 2).cpu().numpy()
    floors, skies = (logits.argmax(1).tolist() for logits in (heads.floor, heads.sky))
    people = (classes == CLASSES.index("person")).sum(axis=(1, 2)) >= PERSON
    return [
        Reading(
            depth=depth[i],
            normals=normals[i],
            classes=classes[i],
            tints=tints[i],
            keypoints=keypoints[i] if people[i] else None,
            floor=list(FLOORS)[floors[i]],
            sky=list(SKIES)[skies[i]],
        )
        for i in range(len(classes))
    ]


def place_joints(joints: Tensor, half_width: int) -> Tensor:
    """Turn logits (B, 18, P + 1) into keypoints (B, 18, 3): x and y in pixels, score 0 where likelier unseen.

    A keypoint lies at the mean around its likeliest place, of 5×5 places of 2×2 pixels in rows of
    `half_width`, weighted by probability.
    """
    share = joints.float().softmax(-1)
    places, seen = share[..., :-1], 1 - share[..., -1]
    number = torch.arange(places.shape[-1], device=joints.device)
    y, x = number // half_width, number % half_width
    best = places.argmax(-1, keepdim=True)
    close = ((x - best % half_width).abs() <= 2) & ((y - best // half_width).abs() <= 2)
    weight = places * close
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=1e-9)
    where = torch.stack([(weight * x).sum(-1), (weight * y).sum(-1)], dim=-1) * 2 + 1
    return torch.cat([where, torch.where(seen >= SEEN, seen, 0.0)[..., None]], dim=-1)

"""How the judge is trained on rendered scenes, and how well it reads scenes that it has never seen."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save as serialized
from torch import Tensor
from torch.nn import functional as F

from controlnet.files import whole
from controlnet.shapes.attributes import share_shown, wanted
from controlnet.shapes.captions import full_caption
from controlnet.shapes.corpus import read_corpus
from controlnet.shapes.figure import JOINTS
from controlnet.shapes.judge import NEAR, Heads, Judge, Reading
from controlnet.shapes.palette import CLASSES, FLOORS, SKIES
from controlnet.shapes.recipe.fit import Schedule, channels_last, fit
from controlnet.shapes.render import View, render
from controlnet.shapes.scene import draw_scene

SEED: Final = 1  # of the world it is trained on
HELD_OUT: Final = 2  # world it is measured on
SCENES: Final = 5000
MEASURED: Final = 300
BATCH: Final = 8
SPREAD: Final = 1.0  # of a keypoint's target, in places of 2×2 pixels
NEARBY: Final = 0.02  # of the picture's side: a keypoint this close is correct (PCK at 0.02)
SCHEDULE: Final = Schedule(steps=5500, lr=1.5e-3, warmup=100, ema=0.998)
_FIELDS: Final = ("image", "depth", "normals", "classes", "tints", "keypoints")
_MIRRORED: Final = [
    JOINTS.index(name.replace("left", "#").replace("right", "left").replace("#", "right")) for name in JOINTS
]


@dataclass(frozen=True)
class Truth:
    """Scenes as tensors: what `View` holds, N at a time, with the numbers of floor and sky."""

    image: Tensor
    depth: Tensor
    normals: Tensor
    classes: Tensor
    tints: Tensor
    keypoints: Tensor
    floors: Tensor
    skies: Tensor

    @classmethod
    def of_corpus(cls, folder: Path, count: int) -> Self:
        """Load the first `count` scenes of a corpus of world `SEED`."""
        scenes = [draw_scene(SEED, index) for index in range(count)]
        return cls(
            **{name: torch.from_numpy(read_corpus(folder, name, count)) for name in _FIELDS},
            floors=torch.tensor([list(FLOORS).index(scene.floor) for scene in scenes]),
            skies=torch.tensor([list(SKIES).index(scene.sky) for scene in scenes]),
        )

    def draw(self, count: int, generator: torch.Generator) -> "Truth":
        """Draw scenes at random, half of them mirrored."""
        pick = torch.randint(len(self.image), (count,), generator=generator)
        mirror = torch.rand(count, generator=generator) < 0.5

        def turned(maps: Tensor) -> Tensor:
            drawn = maps[pick]
            return torch.where(mirror.view(-1, *(1,) * (maps.ndim - 1)), drawn.flip(2), drawn)

        normals, keypoints = turned(self.normals), self.keypoints[pick]
        normals[mirror, ..., 0] *= -1
        side = self.image.shape[2]
        swapped = keypoints[:, _MIRRORED] * torch.tensor([-1.0, 1, 1]) + torch.tensor([side, 0, 0])
        return Truth(
            turned(self.image),
            turned(self.depth),
            normals,
            turned(self.classes),
            turned(self.tints),
            torch.where(mirror[:, None, None], swapped, keypoints),
            self.floors[pick],
            self.skies[pick],
        )


def train(
    corpus: Path, out: Path, scenes: int = SCENES, schedule: Schedule = SCHEDULE
) -> Iterator[dict[str, float]]:
    """Train the judge, measure it, and write judge.safetensors and quality.json to `out`.

    A stopped training goes on from `out`/run.
    """
    torch.manual_seed(0)
    judge = channels_last(Judge())
    truth = Truth.of_corpus(corpus, scenes)

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        drawn = truth.draw(BATCH, generator)
        pictures = drawn.image.permute(0, 3, 1, 2).float() / 127.5 - 1
        return losses(judge(degraded(pictures, generator)), drawn)

    yield from fit(judge, loss, schedule, out / "run")
    save(judge.half().float(), out, scenes, schedule)


def save(judge: Judge, out: Path, scenes: int = SCENES, schedule: Schedule = SCHEDULE) -> None:
    """Write the weights in half precision, with the errors measured beside them and in their metadata."""
    quality = measure(judge)
    weights = {name: tensor.half().contiguous() for name, tensor in judge.state_dict().items()}
    notes = {
        "quality": json.dumps(quality),
        "scenes": f"{scenes} of world {SEED}",
        "schedule": repr(schedule),
    }
    with whole(out / "judge.safetensors") as part:
        part.write_bytes(serialized(weights, metadata=notes))
    with whole(out / "quality.json") as part:
        part.write_text(json.dumps(quality, indent=2) + "\n")


def degraded(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Blur and dirty pictures (B, 3, H, W) a little, each differently, as autoencoder and sampler would."""
    count, _, height, width = pictures.shape

    def chance(share: float, most: float) -> Tensor:
        """Draw an amount up to `most` for a share of the pictures, 0 for the others."""
        hit, amount = torch.rand(2, count, 1, 1, 1, generator=generator)
        return (hit < share) * amount * most

    size = (height, width)
    for step, share, most in ((2, 0.6, 1.0), (4, 0.3, 0.5)):
        blurred = F.interpolate(F.avg_pool2d(pictures, step), size, mode="bilinear")
        pictures = torch.lerp(pictures, blurred, chance(share, most))
    blotches = torch.randn(count, 3, height // 4, width // 4, generator=generator)
    pictures = pictures + chance(0.5, 0.08) * torch.randn(pictures.shape, generator=generator)
    pictures = pictures + chance(0.4, 0.08) * F.interpolate(blotches, size, mode="bilinear")
    return (pictures * (1 + chance(0.5, 0.1)) - chance(0.5, 0.1)).clamp(-1, 1)


def losses(heads: Heads, truth: Truth) -> dict[str, Tensor]:
    """Compare what the network says with the truth; things weigh more than the ground they stand on."""
    classes, tints = truth.classes.long(), truth.tints.long()
    things, solid = classes > CLASSES.index("floor"), classes != CLASSES.index("sky")
    weight = torch.where(things, 1.0, 0.2)
    inverse = NEAR / truth.depth.float()  # 0 in the sky, where depth is inf
    cosine = (heads.normals * truth.normals.permute(0, 3, 1, 2) / 127).sum(1)
    terms = {
        "classes": _mean(F.cross_entropy(heads.classes, classes, reduction="none"), weight),
        "tints": _mean(F.cross_entropy(heads.tints, tints, reduction="none"), weight),
        "depth": _mean((heads.depth[:, 0] - inverse).abs(), weight),
        "normals": _mean(1 - cosine, weight * solid),
        "joints": _joint_loss(heads.joints, truth.keypoints, heads.classes.shape[-1] // 2),
        "floor": F.cross_entropy(heads.floor, truth.floors),
        "sky": F.cross_entropy(heads.sky, truth.skies),
    }
    share = {"depth": 3.0, "joints": 0.3, "floor": 0.3, "sky": 0.3}
    return {"loss": torch.stack([share.get(name, 1.0) * term for name, term in terms.items()]).sum()} | terms


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)


def _joint_loss(joints: Tensor, keypoints: Tensor, side: int) -> Tensor:
    """Cross-entropy against a small blob around each keypoint, or against "nowhere" where it is not seen."""
    places = torch.arange(side) * 2.0 + 1
    x, y = (((keypoints[..., axis, None] - places) / (2 * SPREAD)).square().neg() / 2 for axis in (0, 1))
    blob = (y[..., :, None] + x[..., None, :]).flatten(2).softmax(-1)
    seen = keypoints[..., 2] > 0
    target = torch.cat([blob * seen[..., None], ~seen[..., None]], dim=-1)
    each = -(target * joints.log_softmax(-1)).sum(-1)
    return _mean(each, torch.where(seen, 1.0, 0.2))


def measure(judge: Judge, seed: int = HELD_OUT, count: int = MEASURED) -> dict[str, float]:
    """Let the judge read `count` scenes of a world it has not seen, and tell how well it does.

    class_miou over the eight classes; tint_accuracy over the pixels of things that have a named colour;
    depth_rmse of the depth maps, white being 1; normal_degrees, mean angle off the sky; keypoint_pck, share
    of the seen keypoints found within 2 % of the picture's side; floor_accuracy, sky_accuracy;
    attribute_accuracy, share of the full captions' attributes that the true pictures show to it.
    """
    views = [render(seed, index) for index in range(count)]
    readings = judge.read([view.image for view in views])
    pairs = list(zip(views, readings, strict=True))
    found: dict[str, float] = {
        "class_miou": _miou(pairs),
        "tint_accuracy": _pooled((r.tints == v.tints)[v.tints > 0] for v, r in pairs),
        "depth_rmse": float(np.mean([_depth_error(v, r) for v, r in pairs])),
        "normal_degrees": _pooled(_angles(v, r) for v, r in pairs),
        "keypoint_pck": _pooled(_close(v, r) for v, r in pairs),
        "floor_accuracy": float(np.mean([r.floor == v.scene.floor for v, r in pairs])),
        "sky_accuracy": float(np.mean([r.sky == v.scene.sky for v, r in pairs])),
        "attribute_accuracy": share_shown([(wanted(full_caption(v.scene)), r) for v, r in pairs]),
    }
    return {name: round(value, 4) for name, value in found.items()} | {"world": seed, "scenes": count}


def _pooled(values: Iterator[NDArray[Any]]) -> float:
    return float(np.concatenate([np.ravel(value) for value in values]).mean())


def _miou(pairs: list[tuple[View, Reading]]) -> float:
    number = len(CLASSES)
    table = np.zeros((number, number))
    for view, reading in pairs:
        table += np.bincount(
            view.classes.astype(int).ravel() * number + reading.classes.ravel(), minlength=number**2
        ).reshape(number, number)
    union = table.sum(0) + table.sum(1) - np.diag(table)
    return float((np.diag(table)[union > 0] / union[union > 0]).mean())


def _depth_error(view: View, reading: Reading) -> float:
    difference = view.control("depth").astype(float) - reading.control("depth")
    return float(np.sqrt(np.square(difference / 255).mean()))


def _angles(view: View, reading: Reading) -> NDArray[np.float64]:
    on = (view.classes != CLASSES.index("sky")) & (reading.classes != CLASSES.index("sky"))
    cosine = (view.normals[on] * reading.normals[on]).sum(-1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _close(view: View, reading: Reading) -> NDArray[np.bool_]:
    if view.keypoints is None:
        return np.zeros(0, dtype=bool)
    seen = view.keypoints[:, 2] > 0
    if reading.keypoints is None:
        return np.zeros(int(seen.sum()), dtype=bool)
    apart = np.linalg.norm(view.keypoints[seen, :2] - reading.keypoints[seen, :2], axis=1)
    return apart <= NEARBY * len(view.image)

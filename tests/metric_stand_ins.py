"""Small networks of random weights where metrics would look for published ones."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from controlnet.conditions._networks.load import forget, place
from controlnet.evaluation import _looking
from controlnet.evaluation._networks import clip, inception, lpips

ANNOTATED = {
    "depth_rmse": "depth_rmse(annotator='shapes_depth')",
    "normal_angle": "normal_angle(annotator='shapes_normal')",
    "pose_oks": "pose_oks(annotator='shapes_openpose')",
    "pose_pck": "pose_pck(annotator='shapes_openpose')",
    "segmentation_miou": "segmentation_miou(annotator='shapes_segmentation')",
}
"""Metrics with annotators that need no weights."""


class FewFeatures(nn.Module):
    """Eight features in the place of Inception's 2,048."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 5, 29)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu().mean(dim=(2, 3))


class TinyClip:
    """Unit vectors that follow from the content alone."""

    def picture(self, picture: np.ndarray) -> Tensor:
        return self._vector(picture.tobytes())

    def text(self, text: str) -> Tensor:
        return self._vector(text.encode())

    def _vector(self, content: bytes) -> Tensor:
        seed = int.from_bytes(hashlib.sha1(content).digest()[:8], "big")
        drawn = np.random.default_rng(seed).normal(size=768).astype(np.float32)
        return nn.functional.normalize(torch.from_numpy(drawn), dim=0)


@contextmanager
def stand_ins() -> Iterator[None]:
    """Put the stand-ins in place, and take them away afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = {
            inception.Inception: FewFeatures(),
            lpips.AlexTrunk: lpips.AlexTrunk(),
            lpips.AlexHeads: lpips.AlexHeads(),
            clip.Predictor: clip.Predictor(),
            clip.Clip: TinyClip(),
        }
    _looking.inception_features.cache_clear()
    for kind, one in made.items():
        place(kind, one)
    yield
    forget()
    _looking.inception_features.cache_clear()

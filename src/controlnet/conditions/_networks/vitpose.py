"""RT-DETR and ViTPose of transformers: where people are, and heat maps of each one's 17 keypoints.

Sources: Zhao et al., DETRs Beat YOLOs on Real-time Object Detection, arXiv 2304.08069; Xu et al., ViTPose,
arXiv 2204.12484. Their processors are left out: they need torchvision or scipy.
"""

from pathlib import Path
from typing import Any, Final, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from controlnet.conditions._networks.folder import from_folder
from controlnet.conditions._networks.imagenet import standardised
from controlnet.conditions._networks.load import ready

SIDE: Final = 640  # of what RT-DETR is given, whatever the picture's shape
PERSON: Final = 0  # its class


@final
class People(nn.Module):
    """Where RT-DETR sees people: one picture (1, 3, H, W), RGB in 0 … 255, to (N, 5), the surest first.

    A row is left, top, right and bottom in pixels, and how sure it is. Most rows are of no person at all.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "n 5"]:
        height, width = picture.shape[2:]
        square = F.interpolate(picture, (SIDE, SIDE), mode="bilinear", antialias=True)
        said: Any = self.model(pixel_values=square / 255)
        middles, sizes = said.pred_boxes[0].split(2, dim=1)  # N 2 each, in 0 … 1
        scale = picture.new_tensor([width, height])
        sure = said.logits[0, :, PERSON].sigmoid()
        rows = [(middles - sizes / 2) * scale, (middles + sizes / 2) * scale, sure[:, None]]
        return torch.cat(rows, dim=1)[sure.argsort(descending=True, stable=True)]


@final
class Keypoints(nn.Module):
    """ViTPose: crops of people (B, 3, 256, 192), RGB in 0 … 255, to heat maps (B, 17, 64, 48)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, crops: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 17 h/4 w/4"]:
        return self.model(pixel_values=standardised(crops)).heatmaps


def rt_detr(folder: Path) -> People:
    """Return the model of a folder of transformers; CheckpointError for what is missing in it or damaged."""
    from transformers import RTDetrForObjectDetection

    return ready(People(from_folder(RTDetrForObjectDetection, folder)))


def vitpose(folder: Path) -> Keypoints:
    """Return the model of a folder of transformers; CheckpointError for what is missing in it or damaged."""
    from transformers import VitPoseForPoseEstimation

    return ready(Keypoints(from_folder(VitPoseForPoseEstimation, folder)))

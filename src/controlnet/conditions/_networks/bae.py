"""Surface normals and how sure they are: scannet.pt of Bae et al.

    picture ─ EfficientNet-B5: 24 at 1/2 ─ 40 at 1/4 ─ 64 at 1/8 ─ 176 at 1/16 ─ 2048 at 1/32
                                  │            │           │            │            │
                                  └────────────┴───────────┴── joined from the coarsest
    normals at 1/8 ─ refined pixel by pixel at 1/4, 1/2 and 1/1, given the features joined so far

Source: Bae, Budvytis, Cipolla, Estimating and Exploiting the Aleatoric Uncertainty in Surface Normal
Estimation, arXiv 2109.09881. Training refines only the pixels that are least sure; here it is all of them.
Checked against ControlNet-v1-1-nightly (e2b4415) with the same random weights, on a picture of 256×192: no
difference.

Legend: B batch; H W picture; h w a map's sides; C channels.
"""

import re
from collections.abc import Mapping
from typing import Final, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from controlnet.conditions._networks.efficientnet import HEAD, STAGES, EfficientNetB5, own_name
from controlnet.conditions._networks.imagenet import standardised

JOINED: Final = (4, 2, 1, 0)  # the encoder's stages that are joined, from the coarsest
WIDTHS: Final = (1024, 512, 256, 128)  # channels once they are
REFINED: Final = 128  # channels within a refinement
LEAST: Final = 0.01  # of the concentration, which is the more the surer


@final
class BaeNet(nn.Module):
    """Normals: (B, 3, H, W), RGB in 0 … 255, to (B, 4, H, W): x to the left, y up, z to the viewer; sureness.

    The first three are of length 1. H and W are multiples of 32. `slim` divides all widths: for tests.
    """

    def __init__(self, slim: int = 1) -> None:
        super().__init__()
        self.encoder = EfficientNetB5(slim)
        head = HEAD // slim
        self.begin = nn.Conv2d(head, head, 1)
        widths = [head, *(width // slim for width in WIDTHS)]
        self.joins = nn.ModuleList(
            _join(widths[i] + STAGES[stage][0] // slim, widths[i + 1]) for i, stage in enumerate(JOINED)
        )
        self.first = nn.Conv2d(widths[2], 4, 3, padding=1)
        self.refine = nn.ModuleList(_perceptron(width + 4, REFINED // slim) for width in widths[2:])

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 4 H W"]:
        *stages, x = self.encoder(standardised(pictures))
        x = self.begin(x)
        joined: list[Tensor] = []  # at 1/16, 1/8, 1/4, 1/2
        for join, stage in zip(self.joins, JOINED, strict=True):
            x = F.interpolate(x, stages[stage].shape[2:], mode="bilinear", align_corners=True)
            x = join(torch.cat([x, stages[stage]], dim=1))
            joined.append(x)
        found = _normalised(self.first(joined[1]))  # at 1/8
        for refine, features in zip(self.refine, joined[1:], strict=True):
            found = _normalised(refine(_doubled(torch.cat([features, found], dim=1))))
        return found

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name the tensors as this module does; kernels of 1 become 1×1, and the head's norm has no use."""
        return {
            name: value[..., None] if value.ndim == 3 else value
            for key, value in state.items()
            if not (name := _own_name(key.removeprefix("module."))).startswith("encoder.bn2.")
        }


def _join(came: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(came, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.LeakyReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.BatchNorm2d(width),
        nn.LeakyReLU(),
    )


def _perceptron(came: int, width: int) -> nn.Sequential:
    """Return a perceptron for each pixel by itself."""
    within = [nn.Conv2d(came, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU()]
    return nn.Sequential(*within, nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, 4, 1))


def _normalised(x: Float[Tensor, "b 4 h w"]) -> Float[Tensor, "b 4 h w"]:
    direction, sure = x[:, :3], x[:, 3:]
    length = direction.square().sum(dim=1, keepdim=True).sqrt()
    return torch.cat([direction / (length + 1e-10), F.elu(sure) + 1 + LEAST], dim=1)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


_RESOLUTIONS: Final = {"4": 0, "2": 1, "1": 2}


def _own_name(key: str) -> str:
    if key.startswith("encoder.original_model."):
        return f"encoder.{own_name(key.removeprefix('encoder.original_model.'))}"
    key = re.sub(r"^decoder\.up(\d)\._net\.", lambda found: f"joins.{int(found[1]) - 1}.", key)
    key = re.sub(r"^decoder\.out_conv_res([421])\.", lambda found: f"refine.{_RESOLUTIONS[found[1]]}.", key)
    return key.replace("decoder.conv2.", "begin.").replace("decoder.out_conv_res8.", "first.")

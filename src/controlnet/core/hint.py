"""The hint encoder, Z(c; Θz1): from a picture of the condition to features of the network's own size.

Five forms, each a plain sequence that ends in a zero convolution:

    published   eight 3×3 convolutions with SiLU, 16 16 32 32 96 96 256 channels, three of them stride 2, the
                last itself a zero convolution of 3×3: the form of the published weights, so that they load.
    paper       4×4 convolutions with ReLU, 16 32 64 128 channels, Gaussian start (section 3.2), then Z. The
                paper gives all four stride 2, which would make 512 pixels 32, not 64: the last one has none.
    unshuffle   pixels moved into channels, two 3×3 convolutions with SiLU, then Z. No pixel is lost, and it
                learns far sooner where there are no published weights to start from.
    centred     the same of the map less its mean, which goes along in channels of its own. For maps that are
                bright all over, such as depth: their mean moves all weights of a unit alike, and drowns what
                differs from place to place (docs/shapes.md, "Every condition").
    vae         two 3×3 convolutions with SiLU, then Z, of the map as latents (after CtrLoRA, 2410.09400).
                The base's own autoencoder has encoded it before, and is no part of the ControlNet.

Legend: B batch; K H W the condition; C h w the hint, h = H/s, w = W/s; s the stride.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_unshuffle

from controlnet.core.zero import Init, zero_conv

HintForm = Literal["published", "paper", "unshuffle", "centred", "vae"]
WIDTHS = (16, 32, 96, 256)  # of the published form, at full, half, quarter and eighth size


def hint_encoder(
    form: HintForm,
    condition_channels: int,
    channels: int,
    widths: Sequence[int] = WIDTHS,
    init: Init = "zero",
) -> nn.Sequential:
    """Build one form: (B,K,H,W) in [0,1] → (B,C,h,w); the stride is 2 for each width after the first."""
    forms = {
        "published": _published,
        "paper": _paper,
        "unshuffle": _unshuffle,
        "centred": _centred,
        "vae": _latents,
    }
    return forms[form](condition_channels, channels, widths, init)


def _published(condition_channels: int, channels: int, widths: Sequence[int], init: Init) -> nn.Sequential:
    layers = [nn.Conv2d(condition_channels, widths[0], 3, padding=1), nn.SiLU()]
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, narrow, 3, padding=1), nn.SiLU()]
        layers += [nn.Conv2d(narrow, wide, 3, padding=1, stride=2), nn.SiLU()]
    return nn.Sequential(*layers, zero_conv(widths[-1], channels, init, kernel_size=3))


def _paper(condition_channels: int, channels: int, widths: Sequence[int], init: Init) -> nn.Sequential:
    *halving, last = pairwise([condition_channels, *(16 * 2**i for i in range(len(widths)))])
    convs = [nn.Conv2d(narrow, wide, 4, stride=2, padding=1) for narrow, wide in halving]
    convs.append(nn.Conv2d(*last, kernel_size=4))
    for conv in convs:
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")  # Gaussian; the paper gives no deviation
    layers: list[nn.Module] = [layer for conv in convs for layer in (conv, nn.ReLU())]
    layers.insert(-2, nn.ZeroPad2d((1, 2, 1, 2)))  # what an even kernel of stride 1 needs to keep the size
    return nn.Sequential(*layers, zero_conv(last[1], channels, init))


def _unshuffle(condition_channels: int, channels: int, widths: Sequence[int], init: Init) -> nn.Sequential:
    stride = 2 ** (len(widths) - 1)
    return _from_pixels(nn.PixelUnshuffle(stride), condition_channels * stride**2, channels, init)


def _centred(condition_channels: int, channels: int, widths: Sequence[int], init: Init) -> nn.Sequential:
    stride = 2 ** (len(widths) - 1)
    return _from_pixels(CentredUnshuffle(stride), condition_channels * (stride**2 + 1), channels, init)


def _latents(condition_channels: int, channels: int, widths: Sequence[int], init: Init) -> nn.Sequential:
    return _from_pixels(nn.Identity(), condition_channels, channels, init)


def _from_pixels(pixels: nn.Module, moved: int, channels: int, init: Init) -> nn.Sequential:
    return nn.Sequential(
        pixels,  # B moved h w
        nn.Conv2d(moved, channels, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.SiLU(),
        zero_conv(channels, channels, init),
    )


class CentredUnshuffle(nn.Module):
    """Pixels moved into channels, less their mean over the map, and the mean: (B,K,H,W) → (B,K·s²+K,h,w)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, condition: Tensor) -> Tensor:
        """Return what the encoder's first convolution sees."""
        mean = condition.mean(dim=(2, 3), keepdim=True)
        pixels = pixel_unshuffle(condition - mean, self.stride)
        return torch.cat([pixels, mean.expand(-1, -1, *pixels.shape[2:])], dim=1)

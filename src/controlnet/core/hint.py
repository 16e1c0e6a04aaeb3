"""The hint encoder, Z(c; Θz1): from a picture of the condition to features of the network's own size.

Three forms, each a plain sequence that ends in a zero convolution:

    published   eight 3×3 convolutions with SiLU, 16 16 32 32 96 96 256 channels, three of them stride 2, the
                last itself a zero convolution of 3×3: the form of the published weights, so that they load.
    paper       4×4 convolutions with ReLU, 16 32 64 128 channels, Gaussian start (section 3.2), then Z. The
                paper gives all four stride 2, which would make 512 pixels 32, not 64: the last one has none.
    unshuffle   pixels moved into channels, two 3×3 convolutions with SiLU, then Z. No pixel is lost, and it
                learns far sooner where there are no published weights to start from.

Legend: B batch; K H W the condition; C h w the hint, h = H/s, w = W/s; s the stride.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from controlnet.core.zero import Init, zero_conv

HintForm = Literal["published", "paper", "unshuffle"]
WIDTHS = (16, 32, 96, 256)  # of the published form, at full, half, quarter and eighth size


def hint_encoder(
    form: HintForm,
    condition_channels: int,
    channels: int,
    widths: Sequence[int] = WIDTHS,
    init: Init = "zero",
) -> nn.Sequential:
    """Build one form: (B,K,H,W) in [0,1] → (B,C,h,w); the stride is 2 for each width after the first."""
    forms = {"published": _published, "paper": _paper, "unshuffle": _unshuffle}
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
    return nn.Sequential(
        nn.PixelUnshuffle(stride),  # B K·s² h w
        nn.Conv2d(condition_channels * stride**2, channels, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.SiLU(),
        zero_conv(channels, channels, init),
    )

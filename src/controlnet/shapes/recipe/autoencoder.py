"""The embedded base's autoencoder: ÷8, no normalisation, trained on crops.

`AutoencoderTiny` rather than `AutoencoderKL`: at the same arithmetic it learned several times faster on two
CPU cores, since nothing normalises the colours away, and Stable Diffusion pipelines take either.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.unets.unet_2d_blocks import AutoencoderTinyBlock
from torch import Tensor, nn

from controlnet.shapes.corpus import read_corpus
from controlnet.shapes.recipe.fit import Schedule, channels_last, fit

CROP: Final = 64  # a quarter of a picture: four times as many different pieces for the same arithmetic
BATCH: Final = 16
SCENES: Final = 6000
SHRINK: Final = 1e-3  # weight of the latents' mean square, which keeps their scale
NOISE: Final = 0.03  # added to latents, so that the decoder forgives what a sampler gets slightly wrong
SCHEDULE: Final = Schedule(steps=6000, lr=1.5e-3, warmup=100, ema=0.998, weight_decay=0.0)


def build() -> AutoencoderTiny:
    """Make the network with fresh weights: 8 latent channels, 0.7 million parameters."""
    torch.manual_seed(0)
    network = AutoencoderTiny(
        encoder_block_out_channels=(48,) * 4,
        decoder_block_out_channels=(48,) * 4,
        num_encoder_blocks=(0, 1, 1, 1),
        num_decoder_blocks=(2, 2, 2, 0),
        latent_channels=8,
    )
    _start_alive(network)
    return network


def train(
    corpus: Path, out: Path, scenes: int = SCENES, schedule: Schedule = SCHEDULE
) -> Iterator[dict[str, float]]:
    """Train the autoencoder and save it, with the scale that makes its latents' deviation 1, to `out`/vae."""
    images = torch.from_numpy(read_corpus(corpus, "image", scenes))
    network = channels_last(build())

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        x = crops(images, BATCH, CROP, generator)
        z = network.encode(x, return_dict=False)[0]
        noise = NOISE * torch.randn(z.shape, generator=generator)
        y = network.decode(z + noise, return_dict=False)[0]
        l1, edges = (x - y).abs().mean(), edge_loss(x, y)
        return {"loss": l1 + edges + SHRINK * z.square().mean(), "l1": l1, "edges": edges}

    yield from fit(network, loss, schedule, out / "vae_run")
    with torch.no_grad():
        z = torch.cat([network.encode(pixels(part), return_dict=False)[0] for part in images[:500].split(50)])
    network.register_to_config(scaling_factor=round(1 / z.std().item(), 5))
    network.save_pretrained(out / "vae")


def _start_alive(network: AutoencoderTiny) -> None:
    """Initialise so that signals keep their size: He weights, residual branches that start at zero.

    With torch's default weights they shrink by √3 a layer, and the first thousand steps go into undoing that.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, AutoencoderTinyBlock):
            nn.init.zeros_(cast(nn.Conv2d, module.conv[-1]).weight)
    last = [cast(nn.Conv2d, part.layers[-1]) for part in (network.encoder, network.decoder)]
    for layer in last:
        nn.init.xavier_normal_(layer.weight, gain=0.3)
    nn.init.constant_(cast(Tensor, last[1].bias), 0.5)  # mid grey: the decoder works in [0, 1]


def pixels(images: Tensor) -> Tensor:
    """Map pictures (B, H, W, 3) uint8 to (B, 3, H, W) in [−1, 1]."""
    return (images.permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def crops(images: Tensor, batch: int, side: int, generator: torch.Generator) -> Tensor:
    """Cut random squares out of random pictures, half of them mirrored: (batch, 3, side, side) in [−1, 1]."""
    pick = torch.randint(len(images), (batch,), generator=generator)
    corner = torch.randint(images.shape[1] - side + 1, (batch, 2), generator=generator).tolist()
    mirror = torch.rand(batch, generator=generator) < 0.5
    cut = torch.stack([images[i, y : y + side, x : x + side] for i, (y, x) in zip(pick, corner, strict=True)])
    return pixels(torch.where(mirror[:, None, None, None], cut.flip(2), cut))


def edge_loss(x: Tensor, y: Tensor) -> Tensor:
    """Compare the differences between neighbouring pixels, so that edges stay sharp: mean absolute error."""
    vertical, horizontal = ((x.diff(dim=d) - y.diff(dim=d)).abs().mean() for d in (2, 3))
    return vertical + horizontal

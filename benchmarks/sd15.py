"""The architecture of Stable Diffusion 1.5 with random weights: here beside diffusers' own pipeline.

Expected, where the processor is bound by arithmetic: control is 26 % of a step's, of which an end of 0.5
saves half (1.15×) and three controls in turns two of three (1.52×). With the whole interval the hint, which
is embedded once and not for each row and step, is all that is saved. Weights in the CPU's own order
(`prepacked`) are beyond that arithmetic: what they save is the reordering at each call.

The process keeps freed memory, as `controlnet sample` does, which helps either side.

One picture of 256×256, latents alone, single precision, by processor time: about 11 GB with the packed
weights, and five minutes on two cores.
"""

from time import process_time
from typing import Any, Final

import torch
from torch import nn

import controlnet as cn
from benchmarks.frame import Action, Figure, Report, in_turns, median, operations, ratio
from benchmarks.pair import FULL, HALF, THREE, Pair, Task, ratios, tasks, versus
from controlnet.backbones import Base
from controlnet.cli._memory import keep_freed_memory
from controlnet.sampling import prepacked

SIDE: Final = 256
LEAST: Final = {FULL: 1.03, HALF: 1.14, THREE: 1.45}
MOST: Final = {FULL: 1.03, HALF: 1.15, THREE: 1.52}
PACKED: Final = 1.15  # by layers measured one by one, before the whole was


def random_base() -> Base:
    """Build the base: U-Net and text encoder of SD 1.5's size, tokenizer and schedule of the embedded one."""
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    small = cn.load_base("shapes")
    text: Any = small.text_encoders[0].config
    config = CLIPTextConfig(
        **{key: getattr(text, key) for key in ("vocab_size", "max_position_embeddings")},
        **{key: getattr(text, key) for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
    )
    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    chance = torch.Generator().manual_seed(0)
    return Base(
        "SD 1.5 with random weights",
        filled(unet.to_empty(device="cpu"), chance),
        AutoencoderTiny(),  # of four latent channels; nothing is decoded
        [CLIPTextModel(config)],
        small.tokenizers,
        small.scheduler_config | {"prediction_type": "epsilon"},
    )


def filled(network: nn.Module, chance: torch.Generator) -> nn.Module:
    """Fill a network so that features stay of size one: kernels by their fan-in, norms as they start."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                bound = 0.5 * (3 / parameter[0].numel()) ** 0.5
                parameter.uniform_(-bound, bound, generator=chance)
            else:
                parameter.fill_(float("norm" in name and name.endswith("weight")))
    return network


def rates(rows: int = 2048, width: int = 2048, repeats: int = 5) -> tuple[float, float]:
    """Return the operations a second of a product of matrices in torch, and of one in oneDNN's order."""
    x, layer = torch.rand(rows, width), nn.Linear(width, width)
    packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), rows)
    with torch.inference_mode():
        taken = in_turns(
            {
                "torch": lambda: layer(x),
                "oneDNN": lambda: torch.ops.mkldnn._linear_pointwise(x, packed, layer.bias, "none", [], ""),
            },
            repeats,
        )
    usual, best = (2 * rows * width * width / min(times) for times in taken.values())
    return usual, best


def measure(repeats: int = 2, base: Base | None = None, side: int = SIDE, steps: int = 4) -> Report:
    """Compare in turns, by processor time, after a step of each side that does not count."""
    keep_freed_memory()
    pair = Pair(base or random_base(), side)
    wanted, one = tasks(steps, 3), Task(1)
    difference = pair.difference(one)
    arithmetic = operations(lambda: pair.ours(one))
    runs: list[dict[str, list[float]]] = []
    for _ in range(repeats):
        runs.append(versus(pair, wanted, 1, 0))
        with prepacked(pair.base, pair.net):
            runs[-1] |= {
                "first step, packed": [_seconds(lambda: pair.ours(one))],
                "packed": [_seconds(lambda: pair.ours(wanted[FULL]))],
            }
    taken = {name: [run[name][0] for run in runs] for name in runs[0]}
    ours = taken[f"ours, {FULL}"]
    usual, best = rates()
    rate = arithmetic * steps / median(ours)
    return Report(
        "sd15",
        f"Stable Diffusion 1.5's architecture, {side}×{side}, beside diffusers: what is saved?",
        [
            Figure(
                "largest difference of latents / largest latent", difference, "", (None, 1e-5), "contract"
            ),
            Figure("operations of a guided step", arithmetic / 1e9, "G"),
            Figure("a guided step, processor time", median(ours) / steps, "s"),
            Figure("operations a second of that", rate / 1e9, "G"),
            Figure("… / those of a product of matrices in torch", rate / usual, "×"),
            Figure("… / those of one in oneDNN's order", rate / best, "×"),
            *ratios(taken, LEAST, MOST),
            Figure(
                f"diffusers / ours prepacked, {FULL}",
                ratio(taken[f"diffusers, {FULL}"], taken["packed"]),
                "×",
                (PACKED, None),
                "prediction",
            ),
            Figure("the first step prepacked", median(taken["first step, packed"]), "s"),
        ],
    )


def _seconds(action: Action) -> float:
    return in_turns({"": action}, 1, 0, process_time)[""][0]

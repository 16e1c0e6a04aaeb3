"""How near the estimate of a plan's memory comes to what the plan then takes.

Each plan is estimated in one process and followed for two steps, with a preview, in another, whose peak of
resident memory the system tells. The bases have Stable Diffusion 1.5's architecture with random weights, at
half the width (215M parameters) unless `--full` is given, and its own autoencoder.

    python -m benchmarks training_memory
    python -m benchmarks.training_memory --full        (needs 11 GB)
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.frame import Figure, Report

HALF, FULL = (160, 320, 640, 640), (320, 640, 1280, 1280)
PLANS: Mapping[str, tuple[str, ...]] = {
    "shapes, 128², batch 8": ("base=shapes", "optim.batch=8"),
    "SD 1.5 at half width, 256², batch 1": ("data.size=256",),
    "the same, activations recomputed": ("data.size=256", "optim.checkpointing=true"),
    "the same, the decoder trained along": (
        "data.size=256",
        "phases=[{until: {step: 1}}, {unlock: decoder, lr: 2.0e-6}]",
    ),
    "SD 1.5 at half width, 256², batch 4": ("data.size=256", "optim.batch=4"),
    "the same, activations recomputed, batch 4": (
        *("data.size=256", "optim.batch=4"),
        "optim.checkpointing=true",
    ),
}
FULL_PLANS: Mapping[str, tuple[str, ...]] = {"SD 1.5, 256², batch 1": ("data.size=256",)}
ERROR = 0.15
"""Share by which the estimate was expected to be wrong at most."""


def write_base(folder: Path, widths: Sequence[int], inner: int = 128) -> Path:
    """Write a base of Stable Diffusion 1.5's architecture with other widths, and random weights."""
    import torch
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from tests.helpers import tiny_base

    tiny_base(folder)  # its tokenizer and scheduler stay
    torch.manual_seed(0)
    UNet2DConditionModel(
        sample_size=64, block_out_channels=tuple(widths), cross_attention_dim=768, attention_head_dim=8
    ).save_pretrained(folder / "unet")
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(inner, 2 * inner, 4 * inner, 4 * inner),
        layers_per_block=2,
        sample_size=512,
    ).save_pretrained(folder / "vae")
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=514,
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            bos_token_id=512,
            eos_token_id=513,
            pad_token_id=513,
        )
    ).save_pretrained(folder / "text_encoder")
    return folder


def plan_of(keys: Sequence[str], base: Path, out: Path) -> dict[str, object]:
    """Return the values of a plan of two steps, the second with a preview."""
    from controlnet.training import TrainingPlan

    values = {
        "name": "memory",
        "base": str(base),
        "data": {"source": "circles", "count": 40},
        "optim": {"batch": 1},
        "watch": {"gain_every": 0, "preview_every": 2, "samples": 2, "sample_steps": 1},
        "save": {"every": 100},
        "steps": 2,
        "device": "cpu",
        "out": str(out),
    }
    return TrainingPlan.of(values, keys).values()


def once(what: str, values: Mapping[str, object]) -> float:
    """Estimate a plan, or follow it and tell the peak, in a process of its own; in GB."""
    command = [sys.executable, "-m", "benchmarks.training_memory", what, json.dumps(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def measure(repeats: int = 1, plans: Mapping[str, tuple[str, ...]] = PLANS, full: bool = False) -> Report:
    """Compare estimate and peak, the largest of `repeats` runs, for each plan."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as place:
        base = write_base(Path(place) / "base", FULL if full else HALF)
        for number, (name, keys) in enumerate(plans.items()):
            values = plan_of(keys, base, Path(place) / f"run-{number}")
            estimated, peaks = (
                once("estimate", values),
                [once("follow", values | {"out": f"{place}/{number}-{i}"}) for i in range(repeats)],
            )
            taken = max(peaks)
            figures += [
                Figure(f"{name}: estimated", estimated, "GB"),
                Figure(f"{name}: peak of resident memory", taken, "GB"),
                Figure(f"{name}: estimated / taken", estimated / taken, "×", (1 - ERROR, 1 + ERROR), "aim"),
            ]
    return Report(
        "training_memory", "How near does the estimate of memory come to what a plan takes?", figures
    )


def _estimate(values: Mapping[str, object]) -> float:
    import torch

    from controlnet.backbones import load_base
    from controlnet.training import TrainingPlan
    from controlnet.training.room import weigh

    plan = TrainingPlan.of(values)
    return weigh(plan, load_base(plan.base), torch.device("cpu")).total / 1e9


def _follow(values: Mapping[str, object]) -> float:
    from controlnet.training import TrainingPlan, train

    train(TrainingPlan.of(values))
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ("estimate", "follow"):
        print({"estimate": _estimate, "follow": _follow}[sys.argv[1]](json.loads(sys.argv[2])))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--full", action="store_true", help="the whole width, 860M parameters")
        given = parser.parse_args()
        print(measure(plans=FULL_PLANS if given.full else PLANS, full=given.full).table())

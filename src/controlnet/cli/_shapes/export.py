"""Trained networks to the folder of weights that is shipped: half precision, and no trace of the machine."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file

from controlnet.checkpoints import describe, load_controlnet, save_controlnet
from controlnet.checkpoints.io import write_tensors
from controlnet.cli._shapes.world import Weights, World
from controlnet.errors import SettingError
from controlnet.files import whole

NETWORKS: Final = ("unet", "vae", "text_encoder")
OTHERS: Final = ("tokenizer", "scheduler")
TRACES: Final = (
    "_name_or_path",
    "name_or_path",
)  # where a network was loaded from, on the machine that made it


def export(world: World, weights: Weights) -> Iterator[str]:
    """Bring whatever is complete in a world to the weights, telling what; other parts stay as they were."""
    told = False
    if (world.model / "model_index.json").is_file():
        export_base(world.model, weights.base)
        told = True
        yield f"base: {weights.base}"
    if (world.judge / "judge.safetensors").is_file():
        for name in ("judge.safetensors", "quality.json"):
            _copy(world.judge / name, weights.judge / name)
        told = True
        yield f"judge: {weights.judge}"
    for name in world.controlnets():
        path = weights.root / "controlnets" / f"{name}.safetensors"
        export_controlnet(world.controlnet(name) / "controlnet.safetensors", path)
        told = True
        yield f"ControlNet {name}: {path}"
    if not told:
        raise SettingError(
            f"nothing in {world.root} is complete; train the base first: controlnet shapes base"
        )


def export_base(source: Path, target: Path) -> None:
    """Write a pipeline folder in half precision, all its files by the names without a variant."""
    for part in NETWORKS:
        for file in sorted((source / part).glob("*.safetensors")):
            halves = {name: _half(tensor) for name, tensor in load_file(file).items()}
            write_tensors(target / part / file.name, halves, {})
    for part in (*NETWORKS, *OTHERS):
        for file in sorted((source / part).iterdir()):
            if file.suffix in (".json", ".txt"):
                _copy(file, target / part / file.name)
    _copy(
        source / "model_index.json", target / "model_index.json"
    )  # last: a folder without it is no pipeline


def export_controlnet(source: Path, target: Path) -> None:
    """Write a trained ControlNet in half precision, with the plan that made it but without its paths."""
    metadata: dict[str, Any] = describe(source)["metadata"]
    if isinstance(plan := metadata.get("plan"), dict):
        metadata = {**metadata, "plan": {**plan, "base": "shapes", "out": None}}
    save_controlnet(load_controlnet(source), target, metadata=metadata, dtype=torch.float16)


def _half(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def _copy(source: Path, target: Path) -> None:
    """Copy a file; a JSON object without the paths of the machine that it was made on."""
    with whole(target) as part:
        content = json.loads(source.read_text(encoding="utf-8")) if source.suffix == ".json" else None
        if isinstance(content, dict) and any(key in content for key in TRACES):
            kept = {key: value for key, value in content.items() if key not in TRACES}
            part.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        else:
            shutil.copyfile(source, part)

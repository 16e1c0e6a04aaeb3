"""A folder as diffusers' ControlNetModel writes and reads it: config.json and one safetensors file.

It holds full copies of Stable Diffusion U-Nets with the published hint encoder. Our names become theirs:

    copy.*              *
    hint.0              controlnet_cond_embedding.conv_in
    hint.2 … hint.12    controlnet_cond_embedding.blocks.0 … .5
    hint.14             controlnet_cond_embedding.conv_out
    zeros.skip0 …       controlnet_down_blocks.0 …
    zeros.middle        controlnet_mid_block
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from controlnet.checkpoints.format import CheckpointFormat
from controlnet.checkpoints.io import (
    CONFIG,
    WEIGHTS,
    Source,
    read_object,
    read_tensors,
    write_json,
    write_tensors,
)
from controlnet.checkpoints.rebuild import fill, skeleton
from controlnet.core.controlnet import ControlNet, Origin
from controlnet.errors import CheckpointError

_CLASS = "ControlNetModel"
_KEY = "controlnet"  # of the note with the base's name and what the maker adds, which diffusers passes over

# What the configurations of a U-Net and of a ControlNetModel have in common.
_SHARED = (
    *("in_channels", "flip_sin_to_cos", "freq_shift", "down_block_types", "mid_block_type"),
    *("only_cross_attention", "block_out_channels", "layers_per_block", "downsample_padding"),
    *("mid_block_scale_factor", "act_fn", "norm_num_groups", "norm_eps", "cross_attention_dim"),
    *("transformer_layers_per_block", "encoder_hid_dim", "encoder_hid_dim_type", "attention_head_dim"),
    *("num_attention_heads", "use_linear_projection", "class_embed_type", "addition_embed_type"),
    *("addition_time_embed_dim", "num_class_embeds", "upcast_attention", "resnet_time_scale_shift"),
    *("projection_class_embeddings_input_dim", "addition_embed_type_num_heads"),
)
# What a ControlNetModel cannot say of its U-Net, and the value that it takes for granted.
_GRANTED: dict[str, Any] = {
    "center_input_sample": False,
    "dual_cross_attention": False,
    "resnet_skip_time_act": False,
    "resnet_out_scale_factor": 1.0,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "time_embedding_act_fn": None,
    "timestep_post_act": None,
    "conv_in_kernel": 3,
    "attention_type": "default",
    "class_embeddings_concat": False,
    "cross_attention_norm": None,
    "time_cond_proj_dim": None,
}


@final
class Diffusers(CheckpointFormat):
    """A folder that `ControlNetModel.from_pretrained` loads with equal outputs."""

    title: ClassVar[str] = "diffusers folder"

    def matches(self, source: Source) -> bool:
        """Tell by the class that the configuration names."""
        return source.config.get("_class_name") == _CLASS

    def read(self, source: Source) -> ControlNet:
        """Rebuild the copy's U-Net from what the configuration says of it."""
        note = _note(source)
        net = skeleton("unet", _settings(source.config), _origin(source.config, note), source.path)
        theirs = read_tensors(source)
        ours = {name: theirs.pop(their) for name, their in _names(net).items() if their in theirs}
        if source.config.get("controlnet_conditioning_channel_order") == "bgr" and "hint.0.weight" in ours:
            ours["hint.0.weight"] = ours["hint.0.weight"].flip(1)  # our conditions are RGB
        return fill(net, ours | theirs, source.path)

    def write(
        self, net: ControlNet, path: Path, metadata: Mapping[str, Any], dtype: torch.dtype | None
    ) -> None:
        """Write weights, then configuration; taps that are not connected get the zeros they stand for."""
        _refuse(net)
        if path.is_file():
            raise CheckpointError(f"{path} is a file; the diffusers format is a folder: name another place")
        own = net.state_dict()
        tensors = {
            their: own[name] if name in own else _nought(net, name) for name, their in _names(net).items()
        }
        base = {"name": net.origin.name, "fingerprint": net.origin.fingerprint}
        note = json.dumps({"base": base, "metadata": dict(metadata)}, sort_keys=True)
        write_tensors(path / WEIGHTS, tensors, {_KEY: note}, dtype)
        write_json(path / CONFIG, _config(net))

    def describe(self, source: Source) -> dict[str, Any]:
        """Say what the configuration says, in our words."""
        note = _note(source)
        origin = _origin(source.config, note)
        return {
            "backbone": "unet",
            "settings": _settings(source.config),
            "base": asdict(origin),
            "metadata": note.get("metadata", {}),
        }


def _names(net: ControlNet) -> dict[str, str]:
    """Map our names to theirs, all taps included."""
    last = len(net.hint) - 1  # type: ignore[arg-type]
    parts = {0: "conv_in", last: "conv_out"}
    zeros = {tap.name: f"controlnet_down_blocks.{i}" for i, tap in enumerate(net.taps)}
    zeros[net.taps[-1].name] = "controlnet_mid_block"
    names: dict[str, str] = {}
    for name in net.state_dict():
        part, _, rest = name.partition(".")
        if part == "copy":
            names[name] = rest
        elif part == "hint":
            index, _, kind = rest.partition(".")
            place = parts.get(int(index), f"blocks.{int(index) // 2 - 1}")
            names[name] = f"controlnet_cond_embedding.{place}.{kind}"
    for tap, their in zeros.items():
        names |= {f"zeros.{tap}.{kind}": f"{their}.{kind}" for kind in ("weight", "bias")}
    return names


def _nought(net: ControlNet, name: str) -> Tensor:
    _, tap, kind = name.split(".")
    width = next(t.channels for t in net.taps if t.name == tap)
    return torch.zeros((width, width, 1, 1) if kind == "weight" else (width,), dtype=net.dtype)


def _refuse(net: ControlNet) -> None:
    """Refuse what a ControlNetModel cannot hold."""
    made, config = net.settings, net.origin.configuration
    unable = [f"{key}={config[key]!r}" for key, value in _GRANTED.items() if config.get(key, value) != value]
    unable += [f"a backbone {net.backbone.name!r}"] if net.backbone.name != "unet" else []
    unable += [f"hint={made.hint!r}"] if made.hint != "published" else []
    unable += [f"copy={made.copy!r}"] if made.copy != "full" else []
    if unable:
        raise CheckpointError(
            f"the diffusers format cannot hold {', '.join(unable)}; wanted a full copy of a Stable Diffusion "
            'U-Net with hint="published": save with format="native"'
        )


def _config(net: ControlNet) -> dict[str, Any]:
    own = {key: net.origin.configuration[key] for key in _SHARED if key in net.origin.configuration}
    return own | {
        "_class_name": _CLASS,
        "_diffusers_version": version("diffusers"),
        "conditioning_channels": net.settings.condition_channels,
        "conditioning_embedding_out_channels": list(net.settings.hint_widths),
        "controlnet_conditioning_channel_order": "rgb",
        "global_pool_conditions": net.settings.global_pool,
    }


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hint": "published",
        "condition_channels": config.get("conditioning_channels", 3),
        "hint_widths": config.get("conditioning_embedding_out_channels") or [16, 32, 96, 256],
        "global_pool": config.get("global_pool_conditions", False),
    }


def _origin(config: Mapping[str, Any], note: Mapping[str, Any]) -> Origin:
    """Tell which U-Net the copy came from; of its decoder, which is not copied, nothing is known."""
    own = {key: config[key] for key in _SHARED if key in config}
    own["attention_head_dim"] = own.pop("num_attention_heads", None) or own.get("attention_head_dim", 8)
    if "down_block_types" in own:
        own["up_block_types"] = [name.replace("Down", "Up") for name in reversed(own["down_block_types"])]
    base = note.get("base", {})
    return Origin(str(base.get("name", "")), own, str(base.get("fingerprint", "")))


def _note(source: Source) -> dict[str, Any]:
    return read_object(source.notes.get(_KEY, "{}"), source.path)

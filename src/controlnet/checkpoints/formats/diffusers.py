"""A folder as diffusers' ControlNetModel writes and reads it: config.json and weights, whole or divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, final

from controlnet.checkpoints.base import BaseWeights
from controlnet.checkpoints.format import CheckpointFormat, Writing
from controlnet.checkpoints.io import CONFIG, WEIGHTS, Source, write_json, write_pieces
from controlnet.checkpoints.keys import to_diffusers
from controlnet.checkpoints.note import metadata_of, origin_of, read_note, write_note
from controlnet.checkpoints.published import laid_out, refuse_unusual
from controlnet.checkpoints.rebuild import skeleton
from controlnet.checkpoints.stored import Stored
from controlnet.core.controlnet import ControlNet, Origin
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.match import matched

_CLASS = "ControlNetModel"

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


@final
class Diffusers(CheckpointFormat):
    """A folder that `ControlNetModel.from_pretrained` loads with equal outputs."""

    title: ClassVar[str] = "diffusers folder"

    def matches(self, source: Source) -> bool:
        """Tell by the class that the configuration names."""
        return source.config.get("_class_name") == _CLASS

    def read(self, source: Source, base: BaseWeights | None) -> Stored:
        """Rebuild the copy's U-Net from what the configuration says of it."""
        note = read_note(source)
        net = skeleton("unet", _settings(source.config), _origin(source.config, note), source.path)
        pieces = matched(net, source.pieces, to_diffusers(net), source.path)
        if source.config.get("controlnet_conditioning_channel_order") == "bgr":  # our conditions are RGB
            pieces["hint.0.weight"] = pieces["hint.0.weight"].then(lambda tensor: tensor.flip(1))
        return Stored(net, pieces, metadata_of(note))

    def write(self, stored: Stored, path: Path, how: Writing) -> Mapping[str, Any]:
        """Write weights, then configuration."""
        refuse_unusual(stored.net, "diffusers")
        if path.is_file():
            raise CheckpointError(f"{path} is a file; the diffusers format is a folder: name another place")
        write_pieces(path / WEIGHTS, laid_out(stored), write_note(stored.net, stored.metadata), how.dtype)
        write_json(path / CONFIG, _config(stored.net))
        return {}

    def describe(self, source: Source) -> dict[str, Any]:
        """Say what the configuration says, in our words."""
        note = read_note(source)
        return {
            "backbone": "unet",
            "settings": _settings(source.config),
            "base": asdict(_origin(source.config, note)),
            "metadata": metadata_of(note),
            "channel_order": source.config.get("controlnet_conditioning_channel_order", "rgb"),
        }


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
    """Tell which U-Net the copy came from; of its decoder, which is not copied, only the note knows."""
    known = origin_of(note)
    own = {key: config[key] for key in _SHARED if key in config}
    own["attention_head_dim"] = own.pop("num_attention_heads", None) or own.get("attention_head_dim", 8)
    if "down_block_types" in own:
        own["up_block_types"] = [name.replace("Down", "Up") for name in reversed(own["down_block_types"])]
    return replace(known, configuration=known.configuration | own)

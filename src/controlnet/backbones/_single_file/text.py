"""A text encoder of a base in one file, or alone in its own: transformers' CLIP, or OpenCLIP.

    transformers' CLIP (SD 1.x, SDXL's first)     OpenCLIP (SD 2.x, SDXL's second)
    embeddings.token_embedding.weight             token_embedding.weight
    embeddings.position_embedding.weight          positional_embedding
    encoder.layers.i.layer_norm1, layer_norm2     transformer.resblocks.i.ln_1, ln_2
    encoder.layers.i.self_attn.q_proj, k_, v_     transformer.resblocks.i.attn.in_proj_weight, …_bias, stacked
    encoder.layers.i.mlp.fc1, fc2                 transformer.resblocks.i.mlp.c_fc, c_proj
    final_layer_norm                              ln_final
    text_projection.weight                        text_projection, transposed

The former stand under text_model. or not, by the version of transformers that wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch

from controlnet.backbones._ldm_names import indices, renamed
from controlnet.backbones._single_file.build import filled, skeleton
from controlnet.backbones._sizes import size_of
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.piece import Piece

_HEAD: Final = 64  # channels of an attention head, in every published CLIP
_TOKENS: Final = "embeddings.token_embedding.weight"
_PROJECTION: Final = "text_projection.weight"
_LEFT: Final = ("logit_scale", "text_projection", "attn_mask", "position_ids")  # of no use to an encoder
_LAYER: Final = re.compile(r"encoder\.layers\.(\d+)\.")
_MODULES: Final = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


@final
@dataclass(frozen=True)
class _Tower:
    """A text encoder's pieces by transformers' names, without text_model., and their names in the file."""

    pieces: dict[str, Piece] = field(repr=False)
    labels: dict[str, str] = field(repr=False)
    before: str  # what a missing one's name would begin with

    def label(self, name: str) -> str:
        """Return a name as it stands in the file, or would."""
        return self.labels.get(name, f"{self.before}{name}")

    def only(self, layers: int, projected: bool) -> _Tower:
        """Leave out what is not wanted: layers above a number, and the projection."""
        kept = {
            name: piece
            for name, piece in self.pieces.items()
            if not ((layer := _LAYER.match(name)) and int(layer[1]) >= layers)
            and (projected or name != _PROJECTION)
        }
        return _Tower(kept, self.labels, self.before)


def read_text(found: Mapping[str, Piece], settings: Mapping[str, Any], place: str, dtype: torch.dtype) -> Any:
    """Read a text encoder; settings: its class, its activation, and what else shapes do not tell.

    Raises CheckpointError for one that is not whole, or no CLIP.
    """
    from transformers.models.clip import modeling_clip
    from transformers.models.clip.configuration_clip import CLIPTextConfig

    kind = getattr(modeling_clip, settings["class"])
    tower = _tower(found, place)
    count = len(indices(r"encoder\.layers\.(\d+)()\.", tower.pieces))
    # SD 2.x reads the last layer but one: its file has one more than is used.
    layers = min(count, settings.get("most_layers") or count)
    tower = tower.only(layers, projected="Projection" in settings["class"])
    try:
        sizes = _sizes({name: piece.shape for name, piece in tower.pieces.items()})
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error}; copy it anew") from error
    heads = settings.get("num_attention_heads") or max(1, sizes["hidden_size"] // _HEAD)
    config = CLIPTextConfig.from_dict(
        {
            **sizes,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "hidden_act": settings["hidden_act"],
            # As published; an end of 2 means the largest id.
            "bos_token_id": 0,
            "eos_token_id": 2,
            "pad_token_id": 1,
        }
    )
    encoder = skeleton(lambda: kind(config), place)
    labels = {str(own): tower.label(own.removeprefix("text_model.")) for own in encoder.state_dict()}
    pieces = {tower.labels[name]: piece for name, piece in tower.pieces.items()}
    encoder = filled(encoder, pieces, labels, place, dtype)
    _number_places(encoder)
    return encoder


def _tower(found: Mapping[str, Piece], place: str) -> _Tower:
    """Find the encoder among a part's tensors, and give its pieces transformers' names."""
    inner = next((name for name in found if name.endswith("token_embedding.weight")), None)
    if inner is None:
        raise CheckpointError(f"{place} holds no text encoder; wanted CLIP's token_embedding.weight in it")
    openclip = not inner.endswith(_TOKENS)
    before = inner.removesuffix("token_embedding.weight" if openclip else _TOKENS)
    left = {name for name in found if name.split(".")[-1] in _LEFT or name.endswith("text_projection.weight")}
    named = {name.removeprefix(before) if name.startswith(before) else name: name for name in found}
    pieces: dict[str, Piece] = {}
    labels: dict[str, str] = {}
    for name, label in named.items():
        if label not in left:
            for new, piece, share in _split(name, found[label]) if openclip else [(name, found[label], "")]:
                pieces[new], labels[new] = piece, f"{label}{share}"
    return _projected(_Tower(pieces, labels, "" if openclip else before), found, before)


def _split(name: str, piece: Piece) -> list[tuple[str, Piece, str]]:
    """Give a tensor of OpenCLIP its name, or its three names: queries, keys and values are stacked."""
    match = re.fullmatch(r"transformer\.resblocks\.(\d+)\.attn\.in_proj_(weight|bias)", name)
    if match is None or not piece.shape:
        return [(_renamed(name), piece, "")]
    width = piece.shape[0] // 3
    return [
        (
            f"encoder.layers.{match[1]}.self_attn.{letter}_proj.{match[2]}",
            piece.then(
                lambda tensor, k=k: tensor[k * width : (k + 1) * width].clone(), (width, *piece.shape[1:])
            ),
            f" ({letter})",
        )
        for k, letter in enumerate("qkv")
    ]


def _renamed(name: str) -> str:
    if name == "positional_embedding":
        return "embeddings.position_embedding.weight"
    layer = re.match(r"transformer\.resblocks\.(\d+)\.", name)
    table = {"token_embedding": "embeddings.token_embedding", "ln_final": "final_layer_norm"}
    if layer:
        begins = (layer[0], f"encoder.layers.{layer[1]}.")
        table = {f"{begins[0]}{theirs}": f"{begins[1]}{ours}" for theirs, ours in _MODULES.items()}
    return renamed([name], table).get(name, name)


def _projected(tower: _Tower, found: Mapping[str, Piece], before: str) -> _Tower:
    """Add the projection of pooled text, of which the original code keeps the transposed matrix."""
    outer = before.removesuffix("text_model.")
    stacked = f"{before}text_projection"
    for label in (f"{before}{_PROJECTION}", f"{outer}{_PROJECTION}", stacked):
        piece = found.get(label)
        if piece is not None and len(piece.shape) == 2:
            if label == stacked:
                piece = piece.then(lambda tensor: tensor.T.contiguous(), piece.shape[::-1])
            tower.pieces[_PROJECTION], tower.labels[_PROJECTION] = piece, label
            break
    return tower


def _sizes(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    vocabulary, width = size_of(shapes, _TOKENS, 2)
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": size_of(shapes, "encoder.layers.0.mlp.fc1.weight", 2)[0],
        "max_position_embeddings": size_of(shapes, "embeddings.position_embedding.weight", 2)[0],
        "projection_dim": shapes[_PROJECTION][0] if shapes.get(_PROJECTION) else width,
    }


def _number_places(encoder: Any) -> None:
    """Make the one buffer that no file holds: the numbers of the places 0, 1, 2 …"""
    for module in encoder.modules():
        if "position_ids" in module._buffers:
            module.position_ids = torch.arange(module.position_ids.shape[-1]).expand((1, -1))

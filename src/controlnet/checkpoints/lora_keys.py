"""The names that LoRA files give to the layers of a base, in the layouts of kohya, diffusers and peft.

kohya      lora_unet_down_blocks_0_attentions_0_…_to_q.lora_down.weight, .lora_up.weight, .alpha; for SDXL
           also by the original code's names (lora_unet_input_blocks_4_1_…); lora_te_…, lora_te1_…, lora_te2_…
diffusers  unet.down_blocks.0.….to_q.lora_A.weight, .lora_B.weight; older .lora.down.weight and
           .processor.to_q_lora.down.weight; text_encoder.…, text_encoder_2.…
peft       base_model.model.down_blocks.0.….to_q.lora_A.weight, of the U-Net
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from torch import nn

from controlnet.backbones import Base
from controlnet.backbones._ldm_names import renamed, unet_names

PEFT: Final = "base_model.model"
_TEXT_ATTENTION: Final = {"to_q": "q_proj", "to_k": "k_proj", "to_v": "v_proj", "to_out": "out_proj"}
_FACTOR: Final = re.compile(
    r"(?P<layer>.+?)(?:\.lora_(?P<letter>[AB])(?:\.default)?|[._]lora[._](?P<word>up|down)"
    r"|\.lora_linear_layer\.(?P<old>up|down))\.weight"
)


def part_of(key: str) -> tuple[str, str] | None:
    """Split a key into its layer's name and "up", "down" or "alpha"; None where it is none of these."""
    if key.endswith(".alpha"):
        return _layer(re.sub(r"[._]lora$", "", key.removesuffix(".alpha"))), "alpha"
    found = _FACTOR.fullmatch(key)
    if found is None:
        return None
    letters = {"A": "down", "B": "up", None: ""}
    return _layer(found["layer"]), letters[found["letter"]] or found["word"] or found["old"]


def layers(base: Base) -> dict[str, nn.Linear | nn.Conv2d]:
    """Return the base's layers by every name that a file may use for them."""
    found: dict[str, nn.Linear | nn.Conv2d] = {}
    original = _original(base.network)
    for path, layer in _weighty(base.network):
        names = {path, f"unet.{path}", f"{PEFT}.{path}", f"lora_unet_{path.replace('.', '_')}"}
        if path in original:
            names.add(f"lora_unet_{original[path].replace('.', '_')}")
        found |= dict.fromkeys(names, layer)
    for number, encoder in enumerate(base.text_encoders, start=1):
        name = "text_encoder" if number == 1 else f"text_encoder_{number}"
        short = ("lora_te1", "lora_te") if number == 1 else (f"lora_te{number}",)
        for path, layer in _weighty(encoder):
            # Some versions of transformers have this level and some have not; the files do.
            inner = path if path.startswith("text_model.") else f"text_model.{path}"
            names = {f"{name}.{inner}", *(f"{prefix}_{inner.replace('.', '_')}" for prefix in short)}
            found |= dict.fromkeys(names, layer)
    return found


def _layer(name: str) -> str:
    """Give an attention's projections the names they have, where older versions of diffusers had others."""
    name = name.replace(".processor.", ".")
    head, _, last = name.rpartition(".")
    if head.endswith(".self_attn") and last in _TEXT_ATTENTION:
        return f"{head}.{_TEXT_ATTENTION[last]}"
    return f"{name}.0" if last == "to_out" else name


def _weighty(network: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    for path, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield path, module


def _original(network: Any) -> dict[str, str]:
    """Return the original code's name for each layer of a U-Net."""
    if not hasattr(network, "up_blocks"):
        return {}
    # A layer has no name beneath it, so a suffix is lent to it and taken back.
    names = renamed((f"{path}.weight" for path, _ in _weighty(network)), unet_names(network))
    return {own.removesuffix(".weight"): their.removesuffix(".weight") for own, their in names.items()}

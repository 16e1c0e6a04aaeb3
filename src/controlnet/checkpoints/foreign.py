"""What is no ControlNet of ours, named for what it is: relatives and neighbours with such files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, final

from controlnet.checkpoints.io import Source
from controlnet.checkpoints.peft import PREFIX


@final
@dataclass(frozen=True)
class _Kind:
    """A kind of file: it is one if a tensor's name begins with, or contains, one of these."""

    noun: str
    begins: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()  # that a configuration may name
    without: tuple[str, ...] = ()  # no name begins so

    def fits(self, names: Collection[str], named: str) -> bool:
        if named in self.classes:
            return True
        if any(name.startswith(self.without) for name in names if self.without):
            return False
        return any(
            name.startswith(self.begins) or any(part in name for part in self.contains) for name in names
        )


_CONTROL: Final = ("control_model.", "input_hint_block.", "controlnet_cond_embedding.", "zero_convs.")
# The order matters: each is looked for among what is none of those before it.
_KINDS: Final = (
    _Kind(
        "a Union ControlNet (one network for several conditions, told apart by a task embedding)",
        begins=("task_embedding", "control_add_embedding."),
        classes=("ControlNetUnionModel",),
    ),
    _Kind(
        "a ControlNet-XS (interleaved with its base)",
        contains=("base_to_ctrl", "ctrl_to_base", "enc_zero_convs_", "input_hint_block_xs"),
        classes=("ControlNetXSAdapter", "UNetControlNetXSModel"),
    ),
    _Kind(
        "a T2I-Adapter (no copy of the base)",
        begins=("adapter.body.", "body."),
        classes=("T2IAdapter", "MultiAdapter"),
    ),
    _Kind("a ControlNet-LLLite", begins=("lllite_",)),
    _Kind("an IP-Adapter", begins=("ip_adapter.", "image_proj.")),
    _Kind(
        "a LoRA (peft or kohya); merge it into its network where it was made",
        begins=(PREFIX, "lora_unet_", "lora_te"),
        contains=(".lora_A.", ".lora_B.", ".lora_up.", ".lora_down.", ".lora.up.", ".lora.down."),
        without=(f"{PREFIX}controlnet_cond_embedding.",),  # a Control-LoRA in peft's layout
    ),
    _Kind(
        "a ControlNet of a transformer (Stable Diffusion 3, FLUX, Qwen …), a family that is not known here",
        begins=("controlnet_blocks.", "controlnet_single_blocks.", "controlnet_x_embedder."),
        classes=("SD3ControlNetModel", "FluxControlNetModel", "HunyuanDiT2DControlNetModel"),
    ),
    _Kind(
        "a SparseCtrl for video (with motion modules)",
        contains=("motion_modules.",),
        classes=("SparseControlNetModel",),
    ),
    _Kind("a base without a control", begins=("model.diffusion_model.",), without=_CONTROL),
    _Kind(
        "a base's U-Net",
        begins=("up_blocks.", "output_blocks."),
        classes=("UNet2DConditionModel",),
        without=_CONTROL,
    ),
    _Kind(
        "an autoencoder",
        begins=("decoder.up", "first_stage_model.decoder."),
        classes=("AutoencoderKL",),
        without=_CONTROL,
    ),
)


def foreign(source: Source) -> str:
    """Name what a source is if it is none of our formats; empty where nothing is recognised."""
    named = str(source.config.get("_class_name", ""))
    return next((kind.noun for kind in _KINDS if kind.fits(source.pieces, named)), "")

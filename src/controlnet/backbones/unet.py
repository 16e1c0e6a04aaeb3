"""Stable Diffusion 1.x, 2.x and XL, and other U-Nets of that build (diffusers' UNet2DConditionModel).

The copy is the network cut behind its middle: embeddings, first convolution, down blocks, middle block. The
hint is added behind the first convolution; residuals land on the skip connections and on the middle's output.
The arithmetic is bit for bit that of diffusers' ControlNetModel on the same weights (tests/parity).

Legend: B batch, C h w latents, T tokens, D token width, E embedding width, Ci hi wi the map of tap i.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from controlnet.core.backbone import Backbone, Context, Example, Tap
from controlnet.core.lite import LiteCopy
from controlnet.core.residuals import Residuals
from controlnet.errors import SettingError

_CLASS = "UNet2DConditionModel"
_LAYERED = ("DownBlock2D", "CrossAttnDownBlock2D", "UpBlock2D", "CrossAttnUpBlock2D")
_DECODER = ("up_blocks.", "conv_norm_out.", "conv_out.")
_FOUR_LEVELS: dict[str, Any] = {
    "block_out_channels": (8, 16, 16, 16),
    "cross_attention_dim": 12,
    "norm_num_groups": 4,
    "sample_size": 16,
}
_TINY: dict[str, dict[str, Any]] = {
    "sd": _FOUR_LEVELS | {"attention_head_dim": 2},
    "sd2": _FOUR_LEVELS | {"attention_head_dim": (1, 2, 2, 2), "use_linear_projection": True},
    "sdxl": _FOUR_LEVELS
    | {
        "block_out_channels": (8, 16, 16),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": (1, 2, 4),
        "transformer_layers_per_block": (1, 1, 2),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 4,
        "projection_class_embeddings_input_dim": 10 + 6 * 4,  # pooled text, and six sizes of width 4
    },
}


@final
class UNet(Backbone):
    """U-Nets with cross-attention: 12 skips and a middle in SD 1.x and 2.x, 9 and a middle in SDXL."""

    variants: ClassVar[tuple[str, ...]] = tuple(_TINY)

    def matches(self, network: nn.Module) -> bool:
        """Tell by class and configuration; U-Nets prompted by an image or by boxes are of another family."""
        if _CLASS not in (kind.__name__ for kind in type(network).__mro__):
            return False
        config: Any = network.config
        return (
            config.addition_embed_type in (None, "text", "text_time")
            and config.encoder_hid_dim_type in (None, "text_proj")
            and network.mid_block is not None
            and getattr(network, "position_net", None) is None
        )

    def taps(self, network: Any) -> tuple[Tap, ...]:
        """Read the taps off the modules: behind conv_in, each layer, each downsampler, and the middle."""
        channels, stride = [(network.conv_in.out_channels, 1)], 1
        for block in network.down_blocks:
            channels += [(resnet.out_channels, stride) for resnet in block.resnets]
            for downsampler in block.downsamplers or ():
                stride *= 2
                channels.append((downsampler.out_channels, stride))
        skips = (Tap(f"skip{i}", width, stride=step) for i, (width, step) in enumerate(channels))
        return (*skips, Tap("middle", network.mid_block.resnets[-1].out_channels, stride=stride))

    def clone(self, network: Any) -> nn.Module:
        """Copy all but the decoder."""
        decoder = {id(network.up_blocks): nn.ModuleList(), id(network.conv_norm_out): None}
        copy = deepcopy(network, decoder | {id(network.conv_out): None})
        return copy.requires_grad_(True).train()

    def decoder(self, network: Any) -> dict[str, nn.Parameter]:
        """Name up blocks and output, as `sd_locked = False` of the published trainer unlocks them."""
        return {name: p for name, p in network.named_parameters() if name.startswith(_DECODER)}

    def lite(self, network: Any) -> nn.Module:
        """Put one 3×3 convolution in the place of each block."""
        return LiteCopy(network.conv_in.in_channels, self.taps(network))

    def encode(
        self, clone: Any, x: Tensor, timestep: Tensor, context: Context, hint: Tensor
    ) -> tuple[Tensor, ...]:
        """Run the copy: F(x + hint; Θc), the features at the taps."""
        emb, tokens = _embedded(clone, x, timestep, context)
        h = _first(clone, x) + hint  # B C0 h w
        features = (h,)
        for block in clone.down_blocks:
            h, skips = block(h, emb, **_attended(block, tokens))
            features += skips  # B Ci hi wi
        return *features, clone.mid_block(h, emb, **_attended(clone.mid_block, tokens))

    def denoise(
        self, network: Any, x: Tensor, timestep: Tensor, context: Context, residuals: Residuals | None
    ) -> Tensor:
        """Run the network, whose own arguments take the residuals: (B,C,h,w) → (B,C,h,w)."""
        labels, added = _extras(network, context)
        # Without the skips' residuals the network would silently drop the middle's: always give both.
        skips, middle = (None, None) if residuals is None else (residuals.tensors[:-1], residuals[-1])
        return network(
            x,
            timestep,
            context.tokens,
            class_labels=labels,
            added_cond_kwargs=added,
            down_block_additional_residuals=skips,
            mid_block_additional_residual=middle,
            return_dict=False,
        )[0]

    @contextmanager
    def deep(self, network: Any) -> Iterator[list[Tensor]]:
        """Keep what enters the last two layers of the decoder, without their skips: (B,C0,h,w)."""
        _check_ends(network)
        kept: list[Tensor] = []
        skip = self.taps(network)[1].channels

        def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            kept[:] = [inputs[0][:, :-skip].clone()]  # joined to its skip there

        hook = network.up_blocks[-1].resnets[-2].register_forward_pre_hook(keep)
        try:
            yield kept
        finally:
            hook.remove()

    def shallow(
        self,
        network: Any,
        x: Tensor,
        timestep: Tensor,
        context: Context,
        residuals: Residuals | None,
        deep: Tensor,
    ) -> Tensor:
        """Run the first convolution, one layer down, and the last two up (DeepCache, Ma et al. 2312.00858).

        Of the residuals the first two have a place here; the others have had their effect on `deep`.
        """
        _check_ends(network)
        emb, tokens = _embedded(network, x, timestep, context)
        skips = [_first(network, x)]
        skips.append(_layer(network.down_blocks[0], 0, skips[0], emb, tokens))
        if residuals is not None:
            skips = [skip + residual for skip, residual in zip(skips, residuals.tensors[:2], strict=True)]
        h = deep
        for place in (-2, -1):
            h = _layer(network.up_blocks[-1], place, torch.cat([h, skips.pop()], dim=1), emb, tokens)
        if network.conv_norm_out is not None:
            h = network.conv_act(network.conv_norm_out(h))
        return network.conv_out(h)

    def describe(self, network: Any) -> dict[str, Any]:
        """Write the configuration down, without what diffusers notes about files and versions."""
        config = {key: value for key, value in network.config.items() if not key.startswith("_")}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in config.items()}

    def build(self, configuration: Mapping[str, Any]) -> nn.Module:
        """Build the network on the meta device: its shapes without its weights."""
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        with torch.device("meta"):
            return UNet2DConditionModel(**configuration)

    def blank(self, configuration: Mapping[str, Any]) -> nn.Module:
        """Build all but the decoder, which takes longer to build than the rest."""
        with torch.device("meta"):
            copy = _encoder()(**{**configuration, "up_block_types": ()})
        copy.conv_norm_out = copy.conv_out = None
        return copy

    def tiny(self, variant: str | None = None, seed: int = 0) -> Example:
        """Make a network of a few thousand parameters, shaped like SD 1.x, SD 2.x or SDXL."""
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        config = _TINY[variant or self.variants[0]]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = UNet2DConditionModel(**config)
            pooled = "addition_embed_type" in config
            context = Context(
                tokens=torch.randn(2, 7, config["cross_attention_dim"]),
                text_embeds=torch.randn(2, 10) if pooled else None,
                time_ids=torch.tensor([[128.0, 128, 0, 0, 128, 128]] * 2) if pooled else None,
            )
            x, condition = torch.randn(2, 4, 16, 16), torch.rand(2, 3, 128, 128)
        return Example(network, x, torch.tensor([10, 700]), context, condition)


def _embedded(network: Any, x: Tensor, timestep: Tensor, context: Context) -> tuple[Tensor, Tensor]:
    """Return the embedding of timestep and extras (B,E), and the tokens as blocks attend to them (B,T,D)."""
    labels, added = _extras(network, context)
    emb = network.time_embedding(network.get_time_embed(x, timestep))
    kind = network.get_class_embed(x, labels)
    if kind is not None:
        emb = torch.cat([emb, kind], dim=-1) if network.config.class_embeddings_concat else emb + kind
    aug = network.get_aug_embed(emb, context.tokens, added)
    emb = emb if aug is None else emb + aug
    emb = emb if network.time_embed_act is None else network.time_embed_act(emb)
    return emb, network.process_encoder_hidden_states(context.tokens, added)


def _first(network: Any, x: Tensor) -> Tensor:
    """Run the first convolution: (B,C,h,w) → (B,C0,h,w)."""
    return network.conv_in(2 * x - 1 if network.config.center_input_sample else x)


def _layer(block: Any, place: int, h: Tensor, emb: Tensor, tokens: Tensor) -> Tensor:
    """Run one layer of a block, with its attention if it has one."""
    h = block.resnets[place](h, emb)
    attended = _attended(block, tokens)
    return block.attentions[place](h, **attended, return_dict=False)[0] if attended else h


def _check_ends(network: Any) -> None:
    """Raise SettingError unless the outermost blocks are built layer by layer, as Stable Diffusion's are."""
    for block in (network.down_blocks[0], network.up_blocks[-1]):
        if type(block).__name__ not in _LAYERED:
            raise SettingError(
                f"got a network with {type(block).__name__}; wanted {', '.join(_LAYERED)} at the ends to "
                "reuse deep features: leave the reuse out"
            )


@cache
def _encoder() -> Any:
    """Return the class of a network without a decoder: diffusers' own wants as many blocks up as down."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    class Encoder(UNet2DConditionModel):
        def _check_config(
            self, down_block_types: Any, up_block_types: Any, *args: Any, **others: Any
        ) -> None:
            super()._check_config(down_block_types, down_block_types, *args, **others)

    return Encoder


def _attended(block: Any, tokens: Tensor) -> dict[str, Tensor]:
    """Give the tokens to those blocks that attend to them."""
    return {"encoder_hidden_states": tokens} if getattr(block, "has_cross_attention", False) else {}


def _extras(network: Any, context: Context) -> tuple[Tensor | None, dict[str, Tensor]]:
    """Return class labels and SDXL's added embeddings; SettingError where a wanted one is missing."""
    wanted = ["text_embeds", "time_ids"] if network.config.addition_embed_type == "text_time" else []
    wanted += ["class_labels"] if network.class_embedding is not None else []
    missing = [name for name in wanted if getattr(context, name) is None]
    if missing:
        raise SettingError(
            f"got a context without {' and '.join(missing)}; this network wants Context(tokens, "
            f"{', '.join(f'{name}=…' for name in wanted)}), such as base.encode_prompts gives"
        )
    labels = context.class_labels if "class_labels" in wanted else None
    return labels, {name: getattr(context, name) for name in wanted if name != "class_labels"}

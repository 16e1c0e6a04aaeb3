"""Controls brought to their base: what does not fit is refused, what would be without effect is told."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.errors import DataError, SettingError, ShapeError
from controlnet.sampling.control import Control

log = logging.getLogger(__name__)

# What a network reads, by the names of diffusers' configurations: where these differ, a copy made for one
# base cannot read what is made for another, though its residuals may fit, as with SD 1.5 and 2.1.
_READS: Final = (
    "in_channels",
    "cross_attention_dim",
    "joint_attention_dim",
    "pooled_projection_dim",
    "addition_embed_type",
    "projection_class_embeddings_input_dim",
    "class_embed_type",
    "num_class_embeds",
)


def placed(
    base: Base, controls: Sequence[Control], latents: torch.Size, steps: int, guidance_scale: float
) -> list[Control]:
    """Bring the controls' tensors to their networks, and leave out, with a warning, those without effect.

    latents: (B, C, h, w). Raises ShapeError, SettingError and DataError for a control that does not fit the
    base, the latents or itself, with its number and the base that it was made from.
    """
    names = [_name(number, control.net) for number, control in enumerate(controls, start=1)]
    fitting = [_placed(base, control, name, latents) for control, name in zip(controls, names, strict=True)]
    return [
        control
        for control, name in zip(fitting, names, strict=True)
        if _has_effect(control, name, steps, guidance_scale)
    ]


def image_of(control: Control, name: str = "a control") -> Tensor:
    """Return the control's image, which must be a tensor by now; SettingError where it is not."""
    if not isinstance(control.image, Tensor):
        raise SettingError(
            f"{name} has an image of type {type(control.image).__name__}; wanted a tensor (B, C, H, W) in "
            "[0, 1] here: `generate` takes pictures"
        )
    return control.image


def mask_of(control: Control, name: str = "a control") -> Tensor | None:
    """Return the control's mask, which must be a tensor by now or not be there; SettingError otherwise."""
    if control.mask is not None and not isinstance(control.mask, Tensor):
        raise SettingError(f"{name} has a mask that is no tensor; wanted (B, 1, H, W) in [0, 1] here")
    return control.mask


def _name(number: int, net: ControlNet) -> str:
    return f"control {number} (made from {net.origin.name!r})"


def _placed(base: Base, control: Control, name: str, latents: torch.Size) -> Control:
    _check_network(base, control.net, name)
    image, mask = image_of(control, name), mask_of(control, name)
    _check_image(image, base, control.net, name, latents)
    if mask is not None:
        _check_mask(mask, name, latents)
    own = next(control.net.parameters())
    image = base.as_read(control.net.settings, image.to(own))
    return replace(control, image=image.to(own), mask=None if mask is None else mask.to(own))


def _check_network(base: Base, net: ControlNet, name: str) -> None:
    if net.backbone.name != base.backbone.name:
        raise ShapeError(
            f"{name} is made for the family {net.backbone.name}; the base {base.name!r} is of the family "
            f"{base.backbone.name}: give one that was made from a base of the same architecture"
        )
    wanted = [tap.channels for tap in base.backbone.taps(base.network)]
    got = [tap.channels for tap in net.taps]
    if got != wanted:
        raise ShapeError(
            f"{name} has residuals of channels {got}; the base {base.name!r} wants {wanted}: give one that "
            "was made from a base of the same architecture"
        )
    if net.settings.copy == "full":  # the other kind reads neither prompt nor sizes
        own, its = net.origin.configuration, base.backbone.describe(base.network)
        for key in _READS:
            if key in own and key in its and own[key] != its[key]:
                raise ShapeError(
                    f"{name} has {key} {own[key]}; the base {base.name!r} has {its[key]}: give one that was "
                    "made from a base of the same architecture"
                )
    device = next(net.parameters()).device
    if device != base.device:
        raise SettingError(
            f"{name} is on {device}, the base on {base.device}; wanted both on one device: "
            f"net.to({str(base.device)!r})"
        )


def _check_image(image: Tensor, base: Base, net: ControlNet, name: str, latents: torch.Size) -> None:
    total, _, height, width = latents
    encoded = net.settings.reads_latents  # the base encodes pictures in RGB
    channels = 3 if encoded else net.settings.condition_channels
    stride = base.downscale if encoded else net.settings.stride
    wanted = (channels, height * stride, width * stride)
    if image.ndim != 4 or not image.is_floating_point() or tuple(image.shape[1:]) != wanted:
        raise ShapeError(
            f"{name} has an image {tuple(image.shape)} of {image.dtype}; wanted floats (B, {channels}, H, W) "
            f"of {wanted[1]}×{wanted[2]} pixels for these latents: convert or resize it"
        )
    _check_count(len(image), "images", name, total)
    if encoded:
        _check_range(image, 0.0, f"{name} has an image", "[0, 1], since a VAE has no word for holes")
    else:
        _check_range(
            image, -1.0, f"{name} has an image", "[-1, 1], below 0 only in holes that are painted anew"
        )


def _check_mask(mask: Tensor, name: str, latents: torch.Size) -> None:
    if mask.ndim != 4 or mask.shape[1] != 1 or not mask.is_floating_point():
        raise ShapeError(
            f"{name} has a mask {tuple(mask.shape)} of {mask.dtype}; wanted floats (B, 1, H, W), 1 where it "
            "acts"
        )
    _check_count(len(mask), "masks", name, latents[0])
    _check_range(mask, 0.0, f"{name} has a mask", "[0, 1]")


def _check_count(count: int, what: str, name: str, total: int) -> None:
    if count not in (1, total):
        raise ShapeError(
            f"{name} has {count} {what} for {total} pictures; wanted one for all, or one for each"
        )


def _check_range(tensor: Tensor, least: float, subject: str, wanted: str) -> None:
    low, high = float(tensor.min()), float(tensor.max())
    if not (low >= least and high <= 1):  # so put, NaN is refused too
        raise DataError(f"{subject} with values from {low:g} to {high:g}; wanted them in {wanted}")


def _has_effect(control: Control, name: str, steps: int, guidance_scale: float) -> bool:
    reason = control.effect(steps)
    if reason is None and guidance_scale == 0 and control.conditional_only:
        reason = "it controls the conditional pass alone, which guidance scale 0 leaves out"
    if reason is not None:
        log.warning("%s has no effect: %s", name, reason)
    return reason is None

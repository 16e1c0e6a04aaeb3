"""Requests of the dialect as requests of the engine."""

from typing import Final

import cv2
import numpy as np

from controlnet.api.webui.fields import GenerationIn, Img2ImgIn, Txt2ImgIn
from controlnet.api.webui.names import base_model, sampler
from controlnet.api.webui.state import Desk
from controlnet.api.webui.units import unit_list, units_of
from controlnet.conditions._image import Fit, Pixels
from controlnet.errors import SettingError
from controlnet.service import Generate, SecondPass
from controlnet.service.pictures import fitted, read_picture
from controlnet.service.requests import within
from controlnet.service.seeds import drawn

_FITS: Final[tuple[Fit, ...]] = ("stretch", "crop", "fill", "stretch")
_GREY: Final = 127
_LEAST: Final = 1e-3  # a strength of 0 is that of one step: the picture itself


def from_prompt(desk: Desk, client: str, told: Txt2ImgIn) -> tuple[Generate, list[str]]:
    """Read txt2img; return the request, and what of it has no meaning here."""
    second = None
    if told.enable_hr:
        scale = told.hr_scale
        if told.hr_resize_x or told.hr_resize_y:
            scale = max(told.hr_resize_x / told.width, told.hr_resize_y / told.height)
        second = SecondPass(
            scale, max(told.denoising_strength, _LEAST), told.hr_second_pass_steps or None, _upscaler(told)
        )
    return _request(desk, client, told, None, None, None, second=second)


def from_picture(desk: Desk, client: str, told: Img2ImgIn) -> tuple[Generate, list[str]]:
    """Read img2img; return the request, and what of it has no meaning here."""
    most = desk.engine.limits.picture_pixels
    image = read_picture(told.init_images[0], "init_images[0]", most)
    if told.mask is None:
        return _request(desk, client, told, image, None, None, fit=_FITS[told.resize_mode])
    mask = read_picture(told.mask, "mask", most)
    mask = fitted(mask, (image.shape[1], image.shape[0]), "stretch")
    mask = 255 - mask if told.inpainting_mask_invert else mask
    if not mask.any():
        raise SettingError("mask is black everywhere; wanted white where the picture is painted anew")
    image = _under(image, mask, told.inpainting_fill)
    area = None
    if told.inpaint_full_res:
        area = around(mask, told.inpaint_full_res_padding + told.mask_blur, told.width / told.height)
    return _request(desk, client, told, image, mask, area, fit=_FITS[told.resize_mode], blur=told.mask_blur)


def _request(
    desk: Desk,
    client: str,
    told: GenerationIn,
    image: Pixels | None,
    mask: Pixels | None,
    area: tuple[int, int, int, int] | None,
    fit: Fit = "stretch",
    blur: int = 0,
    second: SecondPass | None = None,
) -> tuple[Generate, list[str]]:
    engine = desk.engine
    if told.script_name:
        raise SettingError(
            f"script_name is {told.script_name[:40]!r}; there are no scripts here: leave it out"
        )
    within("batch_size × n_iter", told.batch_size * told.n_iter, 1, engine.limits.pictures)
    units, ignored = unit_list(told.alwayson_scripts)
    for field in ("subseed_strength", "tiling", "restore_faces"):
        if getattr(told, field):
            ignored.append(field)
    wanted = told.override_settings.sd_model_checkpoint
    base = desk.base(client) if not wanted else base_model("sd_model_checkpoint", wanted, engine.catalog)
    return Generate(
        base=base.name,
        prompt=told.prompt,
        negative_prompt=told.negative_prompt if told.cfg_scale != 1 else "",
        units=units_of(units, engine.catalog, engine.limits.picture_pixels, image, engine.limits.controls),
        steps=told.steps,
        guidance_scale=told.cfg_scale,
        clip_skip=told.override_settings.CLIP_stop_at_last_layers,
        sampler=sampler(told.sampler_name or told.sampler_index or "Euler", told.scheduler),
        seed=drawn(told.seed),
        count=told.batch_size * told.n_iter,
        width=told.width,
        height=told.height,
        image=image,
        mask=mask,
        strength=1.0 if image is None else max(told.denoising_strength, _LEAST),
        fit=fit,
        area=area,
        blur=blur,
        second=second,
        preview=True,
        whole_size=True,
    ), ignored


def _upscaler(told: Txt2ImgIn) -> str:
    name = told.hr_upscaler.lower()
    if name.startswith("latent"):
        return "latent"
    if name in ("lanczos", "bicubic"):
        return name
    if name in ("none", "nearest", ""):
        return "bicubic"
    raise SettingError(f"hr_upscaler is {told.hr_upscaler[:40]!r}; wanted Latent, Lanczos, Bicubic or None")


def _under(image: Pixels, mask: Pixels, how: int) -> Pixels:
    """Put under the mask what the painting begins from: its surroundings, itself, noise, or grey."""
    if how == 1:
        return image
    shown = mask.max(axis=2) > 127
    result = image.copy()
    if how == 0:
        small = max(1, round(max(image.shape[:2]) / 512))  # colours of the surroundings need no detail
        size = (max(1, image.shape[1] // small), max(1, image.shape[0] // small))
        hole = cv2.resize(shown.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        filled = cv2.inpaint(cv2.resize(image, size), hole, 3, cv2.INPAINT_TELEA)
        result[shown] = cv2.resize(np.asarray(filled), (image.shape[1], image.shape[0]))[shown]
    elif how == 2:
        result[shown] = np.random.default_rng(0).integers(0, 256, (int(shown.sum()), 3), np.uint8)
    else:
        result[shown] = _GREY
    return result


def around(mask: Pixels, padding: int, shape: float) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) around what a mask shows, of the shape width/height if it can be."""
    rows, columns = (np.flatnonzero(mask.max(axis=2).any(axis=axis)) for axis in (1, 0))
    height, width = mask.shape[:2]
    left, right = max(0, int(columns[0]) - padding), min(width, int(columns[-1]) + 1 + padding)
    top, bottom = max(0, int(rows[0]) - padding), min(height, int(rows[-1]) + 1 + padding)
    if (right - left) / (bottom - top) < shape:
        left, right = _widened(left, right, round((bottom - top) * shape), width)
    else:
        top, bottom = _widened(top, bottom, round((right - left) / shape), height)
    return left, top, right, bottom


def _widened(low: int, high: int, wanted: int, most: int) -> tuple[int, int]:
    wanted = min(max(wanted, high - low), most)
    low = min(max(0, (low + high - wanted) // 2), most - wanted)
    return low, low + wanted

"""A request made ready for the networks: its size, its prompts encoded, its controls as tensors."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from controlnet.backbones import Base
from controlnet.conditions import annotate, condition
from controlnet.conditions._image import Pixels, resized
from controlnet.core.context import Context
from controlnet.errors import ControlNetError, SettingError, ShapeError
from controlnet.sampling import Control, parse_taps, parse_weight
from controlnet.sampling.control import mode_of
from controlnet.sampling.images import Size, resize_map, to_condition, to_mask, to_pixels
from controlnet.sampling.inpaint import inpaint_hint, latent_mask
from controlnet.sampling.prompts import encode_pairs
from controlnet.sampling.size import output_size, stride
from controlnet.service.models import Models
from controlnet.service.pictures import fitted
from controlnet.service.requests import Generate, Unit

INPAINT = "inpaint"


@dataclass(frozen=True, eq=False)
class Ready:
    """All tensors of a request, one row each, but for its noise.

    base: the request's, with the decoder that was trained along with its ControlNets, if one was. asked:
    width and height of the result; size: of what is made. pixels (1, 3, H, W) in [-1, 1] and region (1, 1,
    H, W) are those of the picture to begin from.
    """

    request: Generate
    base: Base
    asked: Size
    size: Size
    context: Context
    negative: Context | None
    maps: tuple[Pixels, ...]
    controls: tuple[Control, ...]
    pixels: Tensor | None = None
    region: Tensor | None = None
    start: Tensor | None = None
    repaint: Tensor | None = None


@torch.inference_mode()
def prepare(models: Models, request: Generate, limit: int) -> Ready:
    """Make a request ready; raises what is wrong with it, headed by the number of the control it is about.

    limit: pixels of a picture to be made, which a size taken from a picture must keep too.
    """
    base = models.base(request.base, [unit.net for unit in request.units])
    asked, size = sizes(base, request)
    area = size[0] * size[1] * (request.second.scale**2 if request.second else 1)
    if area > limit:
        raise ShapeError(f"got size {size[0]}x{size[1]}; wanted at most {limit:,} pixels here")
    negative = [request.negative_prompt] if request.guidance_scale != 1.0 else None
    contexts, negatives = encode_pairs(base, [request.prompt], negative, size, request.clip_skip)
    maps: list[Pixels] = []
    controls: list[Control] = []
    for number, unit in enumerate(request.units):
        try:
            net = models.net(unit.net, request.base)
            made = mapped(unit, size)
            mask = None if unit.mask is None else fitted(unit.mask, size, unit.fit)
            control = Control(
                net,
                to_condition(made, size),
                parse_weight(str(unit.weight)),
                unit.start,
                unit.end,
                mode_of(unit.mode),
                None if mask is None else to_mask(mask, size),
                taps=None if unit.taps is None else parse_taps(unit.taps),
            )
            if unit.rule != "diffusers" or unit.law is not None:
                control = replace(control, rule=unit.rule, law=unit.law)  # type: ignore[arg-type]
            if _paints_anew(unit):
                source = made if mask is None else fitted(unit.image, size, unit.fit)
                control = replace(control, image=inpaint_hint(source, mask, size), mask=None)
        except ControlNetError as error:
            raise type(error)(f"controls[{number}]: {error}") from error
        maps.append(made)
        controls.append(control)
    ready = Ready(
        request,
        base,
        asked,
        size,
        contexts[0],
        None if negatives is None else negatives[0],
        tuple(maps),
        tuple(controls),
    )
    return ready if request.image is None else _begun(base, ready, request.image)


def sizes(base: Base, request: Generate) -> tuple[Size, Size]:
    """Return the size that was asked for, and the one that the base can make."""
    shapes = [(p.shape[1], p.shape[0]) for p in request.pictures()][:1]
    if request.units and request.image is not None:
        shapes = [(request.units[0].image.shape[1], request.units[0].image.shape[0])]
    if not request.whole_size or request.width is None or request.height is None:
        size = output_size(base, request.width, request.height, shapes)
        return size, size
    asked = (request.width, request.height)
    if asked == (base.sample_size, base.sample_size):
        return asked, asked
    grid = stride(base)
    width, height = (-(-side // grid) * grid for side in asked)
    return asked, output_size(base, width, height, [])


def mapped(unit: Unit, size: Size) -> Pixels:
    """Make the control map at the output's size; one that an annotator makes at its own, where it has one."""
    if unit.annotator is None:
        return fitted_map(unit, unit.image, size)
    detector = condition(unit.annotator)
    if detector.resolution is None or "resolution" not in detector.model_fields_set:
        return annotate(detector, fitted(unit.image, size, unit.fit))
    return fitted_map(unit, annotate(detector, unit.image), size)


def fitted_map(unit: Unit, image: Pixels, size: Size) -> Pixels:
    """Bring a map to its size as the sampler would, without inventing colours, and cropped or filled up."""
    if unit.fit == "stretch" or image.shape[:2] == (size[1], size[0]):
        return resize_map(image, size)
    few = len(np.unique(image.reshape(-1, 3)[:: max(1, image.size // 300_000)], axis=0)) <= 200
    return fitted(image, size, unit.fit, label_map=few)


def _paints_anew(unit: Unit) -> bool:
    return unit.annotator is not None and condition(unit.annotator).name() == INPAINT


def _begun(base: Base, ready: Ready, image: Pixels) -> Ready:
    request = ready.request
    if request.area is not None:
        image = cut(image, request.area)
    pixels = to_pixels(fitted(image, ready.size, request.fit), ready.size)
    start = base.encode_pixels(pixels.to(base.device, base.dtype))
    if request.mask is None:
        return replace(ready, pixels=pixels, start=start)
    mask = softened(request.mask, request.blur)
    mask = cut(mask, request.area) if request.area is not None else mask
    region = to_mask(fitted(mask, ready.size, request.fit), ready.size)
    if not bool(region.any()):
        raise SettingError("mask is black everywhere; wanted white where the picture is painted anew")
    return replace(ready, pixels=pixels, region=region, start=start, repaint=latent_mask(region, start))


def softened(mask: Pixels, blur: int) -> Pixels:
    """Blur the edge of a mask."""
    if not blur:
        return mask
    return np.array(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(blur)))


def cut(image: Pixels, area: tuple[int, int, int, int]) -> Pixels:
    """Cut (left, top, right, bottom) out of a picture."""
    left, top, right, bottom = area
    return np.ascontiguousarray(image[top:bottom, left:right])


def put_back(made: Pixels, request: Generate) -> Pixels:
    """Put a painted area back into the whole picture, blended by the softened mask."""
    if request.area is None or request.image is None:
        return made
    left, top, right, bottom = request.area
    whole = request.image.copy()
    part = resized(made, right - left, bottom - top)
    if request.mask is not None:
        share = cut(softened(request.mask, request.blur), request.area).max(axis=2, keepdims=True) / 255.0
        part = np.rint(share * part + (1 - share) * cut(whole, request.area)).astype(np.uint8)
    whole[top:bottom, left:right] = part
    return whole

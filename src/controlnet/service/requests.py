"""What can be asked of the engine: pictures to be made, and control maps; checked before they are queued."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from controlnet.conditions._image import Fit, Pixels
from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import unknown
from controlnet.registry import aliases, names, parse
from controlnet.service.catalog import Catalog
from controlnet.service.limits import Limits

if TYPE_CHECKING:
    from controlnet.conditions._base import Condition

Passes = Literal["both", "first", "second"]


@dataclass(frozen=True, eq=False)
class Unit:
    """One control: a ControlNet by its name in the catalog, its picture, and how it takes part.

    annotator: text form of a condition that makes the map from the picture, at the output's size unless it
    has a resolution of its own; None where the picture is a map. weight, taps: numbers or their text forms.
    passes: of a job with a second pass, in which one the control acts.
    """

    net: str
    image: Pixels
    annotator: str | None = None
    weight: float | str = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: str = "balanced"
    mask: Pixels | None = None
    fit: Fit = "crop"
    rule: str = "diffusers"
    law: str | None = None
    taps: str | None = None
    passes: Passes = "both"
    keep_map: bool = True


@dataclass(frozen=True)
class SecondPass:
    """A pass at a larger size after the first: see `controlnet.hires`."""

    scale: float = 2.0
    strength: float = 0.55
    steps: int | None = None
    upscaler: str = "lanczos"


@dataclass(frozen=True, eq=False)
class Generate:
    """Pictures of one prompt; picture k has seed + k, and depends on that and on these settings alone.

    image, mask, strength: as in `controlnet.generate`. area: (left, top, right, bottom) of `image` that is
    worked on, at the output's size, and put back; None is all of it. blur: how wide, in pixels, the mask's
    edge is softened. whole_size: a size that the base cannot make is made larger and brought back, where it
    would be refused otherwise.
    """

    base: str
    prompt: str
    negative_prompt: str = ""
    units: tuple[Unit, ...] = ()
    steps: int = 20
    guidance_scale: float = 7.5
    guidance_rescale: float = 0.0
    clip_skip: int | None = None
    sampler: str = "dpm++2m"
    seed: int = 0
    count: int = 1
    width: int | None = None
    height: int | None = None
    image: Pixels | None = None
    mask: Pixels | None = None
    strength: float = 1.0
    fit: Fit = "stretch"
    area: tuple[int, int, int, int] | None = None
    blur: int = 0
    second: SecondPass | None = None
    preview: bool = False
    whole_size: bool = False

    @property
    def kind(self) -> Hashable | None:
        """What jobs must have in common to be made together; None for one that goes alone."""
        sizes = self.width, self.height
        if self.second is not None or (None in sizes and next(self.pictures(), None) is not None):
            return None
        controls = tuple(
            (u.net, u.weight, u.start, u.end, u.mode, u.rule, u.law, u.taps, u.mask is None)
            for u in self.units
        )
        picture = self.image is not None, self.mask is not None, self.strength
        how = self.steps, self.guidance_scale, self.guidance_rescale, self.sampler, self.clip_skip
        return self.base, *sizes, self.whole_size, how, picture, controls

    def pictures(self) -> Iterator[Pixels]:
        """Yield every picture that was sent."""
        yield from (p for p in (self.image, self.mask) if p is not None)
        for unit in self.units:
            yield from (p for p in (unit.image, unit.mask) if p is not None)


@dataclass(frozen=True, eq=False)
class Annotate:
    """Control maps of some pictures; keypoints besides, where the condition finds people."""

    condition: str
    images: tuple[Pixels, ...]
    keypoints: bool = False

    kind = None
    count = 1
    preview = False

    def pictures(self) -> Iterator[Pixels]:
        """Yield every picture that was sent."""
        yield from self.images


Request = Generate | Annotate


def weight_of(request: Request) -> int:
    """Return how many bytes a request holds."""
    return sum(picture.nbytes for picture in request.pictures())


def safe_condition(text: str, limits: Limits) -> "Condition":
    """Make a condition from a text of a request: one of those that are here, by name, never by address.

    Raises UnknownName and SettingError.
    """
    from controlnet.conditions import condition

    others = aliases("conditions")
    if text not in others:
        name, _ = parse(text)
        if name not in (*names("conditions"), *others):
            raise UnknownName(unknown("condition", name, (*names("conditions"), *others)))
    made = condition(text)
    most = int(limits.picture_pixels**0.5)
    if made.resolution is not None and made.resolution > most:
        raise SettingError(f"got a resolution of {made.resolution}; wanted at most {most} here")
    return made


def check(request: Request, catalog: Catalog, limits: Limits) -> None:
    """Raise SettingError, UnknownName … for what cannot be meant or is more than the limits allow."""
    if isinstance(request, Annotate):
        safe_condition(request.condition, limits)
        within("images", len(request.images), 1, limits.pictures)
        return
    from controlnet.checkpoints.decoder import agreed

    _check_settings(request, catalog, limits)
    for number, unit in enumerate(request.units):
        try:
            _check_unit(unit, catalog, limits)
        except SettingError as error:
            raise type(error)(f"controls[{number}]: {error}") from error
    agreed({unit.net: catalog.control(unit.net).decoder for unit in request.units})


def within(field: str, value: float, least: float, most: float) -> None:
    """Raise SettingError, which names the field, for a number outside its range, NaN included."""
    if not least <= value <= most:
        raise SettingError(f"{field} is {value:g}; wanted {least:g} to {most:g} here")


def _check_settings(request: Generate, catalog: Catalog, limits: Limits) -> None:
    from controlnet.sampling.sampler import MAX_SEED
    from controlnet.sampling.schedulers import sampler_name

    catalog.base(request.base)
    sampler_name(request.sampler)
    within("count", request.count, 1, limits.pictures)
    within("steps", request.steps, 1, limits.steps)
    within("guidance_scale", request.guidance_scale, 0, 100)
    within("guidance_rescale", request.guidance_rescale, 0, 1)
    within("clip_skip", request.clip_skip or 1, 1, 64)
    within("seed", request.seed, 0, MAX_SEED - limits.pictures)
    within("strength", request.strength, 1e-6, 1)
    within("number of controls", len(request.units), 0, limits.controls)
    for field, text in (("prompt", request.prompt), ("negative_prompt", request.negative_prompt)):
        within(f"length of {field}", len(text), 0, limits.prompt)
    side = int(limits.pixels**0.5) * 4
    for field, pixels in (("width", request.width), ("height", request.height)):
        within(field, pixels or 8, 8, side)
    scale = 1.0
    if request.second is not None:
        within("second.scale", request.second.scale, 1.001, 8)
        within("second.strength", request.second.strength, 1e-6, 1)
        within("second.steps", request.second.steps or 1, 1, limits.steps)
        scale = request.second.scale
    if request.width and request.height:
        area = request.width * request.height * scale**2
        within("width × height", area, 64, limits.pixels)
    if request.image is not None and request.second is not None:
        raise SettingError(
            "second and image are both given; wanted one of them: a second pass begins from its first"
        )
    if request.image is None and (request.mask is not None or request.strength < 1):
        raise SettingError("mask or strength is given without image; wanted the image that they are about")


def _check_unit(unit: Unit, catalog: Catalog, limits: Limits) -> None:
    from controlnet.sampling.control import LAWS, RULES, mode_of
    from controlnet.sampling.schedule import parse_weight
    from controlnet.sampling.tap_weights import parse_taps

    catalog.control(unit.net)
    mode = mode_of(unit.mode)
    if isinstance(unit.weight, str):
        within("length of weight", len(unit.weight), 0, 1000)
        parse_weight(unit.weight)
    else:
        within("weight", unit.weight, -100, 100)
    if not 0 <= unit.start <= unit.end <= 1:
        raise SettingError(
            f"start={unit.start:g}, end={unit.end:g}; wanted 0 <= start <= end <= 1, as parts of all steps"
        )
    if unit.rule not in RULES:
        raise UnknownName(unknown("rule for start and end", unit.rule, RULES))
    if unit.law is not None and (unit.law not in LAWS or mode not in ("prompt", "control")):
        raise SettingError(f"law {unit.law!r} in mode {mode!r}; wanted {' or '.join(LAWS)} in a soft mode")
    if unit.taps is not None:
        within("length of taps", len(unit.taps), 0, 1000)
        parse_taps(unit.taps)
    if unit.annotator is not None:
        safe_condition(unit.annotator, limits)

"""Units of the extension as controls of the engine."""

from typing import Any, Final

from pydantic import ValidationError

from controlnet.api.webui.fields import Pair, Script, UnitIn
from controlnet.api.webui.names import NONE, annotator, control_model, fit_of, mode_named, module
from controlnet.conditions._image import Pixels
from controlnet.errors import SettingError
from controlnet.fields import explain
from controlnet.service import Catalog, Unit
from controlnet.service.pictures import read_picture
from controlnet.service.requests import Passes

_PASSES: Final[dict[str, Passes]] = {
    "both": "both",
    "low res only": "first",
    "high res only": "second",
}
_NUMBERS: Final = ("processor_res", "threshold_a", "threshold_b")


def unit_list(scripts: dict[str, Script]) -> tuple[list[UnitIn], list[str]]:
    """Return the units that are switched on, and the names of scripts that are not ours.

    Raises SettingError for a unit that cannot be read.
    """
    units: list[UnitIn] = []
    others: list[str] = []
    for name, script in scripts.items():
        if name.lower() != "controlnet":
            if any(script.args) and script.args[0] is not False:
                others.append(name)
            continue
        for number, told in enumerate(script.args):
            unit = _read(told, number)
            if unit is not None and unit.enabled:
                units.append(unit)
    return units, others


def units_of(
    units: list[UnitIn], catalog: Catalog, most: int, fallback: Pixels | None, allowed: int
) -> tuple[Unit, ...]:
    """Turn units into controls; fallback: the picture of a unit without one, as img2img has it.

    Raises SettingError, UnknownName and DataError, which name unit and field.
    """
    if len(units) > allowed:
        raise SettingError(f"got {len(units)} units; wanted at most {allowed} here")
    return tuple(_unit(unit, f"controlnet[{k}]", catalog, most, fallback) for k, unit in enumerate(units))


def _read(told: Any, number: int) -> UnitIn | None:
    if told is None or isinstance(told, bool):  # how older clients switch the script off
        return None
    try:
        return UnitIn.model_validate(told)
    except ValidationError as error:
        raise SettingError(f"controlnet[{number}]: {explain(error, UnitIn)[:500]}") from error


def _unit(unit: UnitIn, place: str, catalog: Catalog, most: int, fallback: Pixels | None) -> Unit:
    if unit.model.lower().strip() in NONE:
        raise SettingError(f"{place}.model is not given; wanted one of GET /controlnet/model_list")
    model = control_model(f"{place}.model", unit.model, catalog)
    if unit.guidance_start > unit.guidance_end or not 0 <= unit.guidance_start <= unit.guidance_end <= 1:
        got = f"{unit.guidance_start:g}, {unit.guidance_end:g}"
        raise SettingError(f"{place}.guidance_start, guidance_end are {got}; wanted 0 <= start <= end <= 1")
    assert not isinstance(unit.image, list | Pair)
    image = fallback if unit.image is None else read_picture(unit.image, f"{place}.image", most)
    if image is None:
        raise SettingError(f"{place}.image is not given; wanted the control's picture")
    name = module(f"{place}.module", unit.module)
    spec = None
    if name is not None:
        values = (unit.threshold_a, unit.threshold_b)
        resolution = -1 if unit.pixel_perfect else unit.processor_res
        spec = annotator(name, resolution, values, [f"{place}.{number}" for number in _NUMBERS])
    passes = _PASSES.get(unit.hr_option.lower().strip())
    if passes is None:
        raise SettingError(f"{place}.hr_option is {unit.hr_option[:40]!r}; wanted Both, Low res only …")
    field = "mask" if unit.effective_region_mask is None else "effective_region_mask"
    mask = unit.effective_region_mask or unit.mask
    return Unit(
        net=model.name,
        image=image,
        annotator=spec,
        weight=unit.weight,
        start=unit.guidance_start,
        end=unit.guidance_end,
        mode=mode_named(f"{place}.control_mode", unit.control_mode),
        mask=None if mask is None else read_picture(mask, f"{place}.{field}", most),
        fit=fit_of(f"{place}.resize_mode", unit.resize_mode),
        rule="webui",
        passes=passes,
        keep_map=unit.save_detected_map,
    )

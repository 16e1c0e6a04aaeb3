"""How a picture was made, as the service writes it into its PNG: names of the catalog in place of paths."""

from typing import Any, Final
from weakref import WeakKeyDictionary

from controlnet.backbones import Base
from controlnet.conditions._image import Pixels
from controlnet.sampling import ControlRecord, Record
from controlnet.sampling.control import mode_of
from controlnet.sampling.digest import Digests
from controlnet.sampling.record import FileRecord
from controlnet.service.preparing import Ready
from controlnet.service.requests import SecondPass

SENT: Final = "(sent)"  # in place of a file's name

_known: WeakKeyDictionary[Base, str] = WeakKeyDictionary()  # reading all weights takes seconds


def record_of(base: Base, ready: Ready, seed: int) -> Record:
    """Write down how a picture of a request is made."""
    request, size = ready.request, ready.size
    return Record(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        seed=seed,
        steps=request.steps,
        guidance_scale=request.guidance_scale,
        guidance_rescale=request.guidance_rescale,
        clip_skip=request.clip_skip,
        sampler=request.sampler,
        width=size[0],
        height=size[1],
        base=request.base,
        base_hash=_fingerprint(base),
        controls=tuple(
            ControlRecord.model_validate(
                {
                    "net": FileRecord(path=unit.net),
                    "image": _sent(unit.image),
                    "annotator": unit.annotator,
                    "weight": unit.weight,
                    "start": unit.start,
                    "end": unit.end,
                    "mode": mode_of(unit.mode),
                    "rule": unit.rule,
                    "law": unit.law,
                    "taps": unit.taps,
                    "mask": None if unit.mask is None else _sent(unit.mask),
                }
            )
            for unit in request.units
        ),
        image=None if request.image is None else _sent(request.image),
        mask=None if request.mask is None else _sent(request.mask),
        strength=request.strength,
        device=base.device.type,
        **_second(request.second),
    )


def _second(told: SecondPass | None) -> dict[str, Any]:
    if told is None:
        return {}
    return {"hires": told.scale, "hires_strength": told.strength, "upscaler": told.upscaler}


def _sent(picture: Pixels) -> FileRecord:
    return FileRecord(path=SENT, hash=Digests().of(picture))


def _fingerprint(base: Base) -> str:
    if base not in _known:
        _known[base] = base.fingerprint()
    return _known[base]

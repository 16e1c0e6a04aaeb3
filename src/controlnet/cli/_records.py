"""What is written down of a job: settings, and names and hashes of all that a picture is made from."""

from pathlib import Path
from typing import TYPE_CHECKING

from controlnet.cli._again import DEVICE
from controlnet.cli._job import Job

if TYPE_CHECKING:
    import numpy as np

    from controlnet.backbones import Base
    from controlnet.core.controlnet import ControlNet
    from controlnet.sampling import ControlRecord, Record
    from controlnet.sampling.record import FileRecord

Size = tuple[int, int]


def record_of(
    job: Job,
    base: "Base",
    fingerprint: str,
    size: Size,
    nets: "list[ControlNet]",
    photos: "list[np.ndarray]",
    maps: "list[np.ndarray]",
) -> "Record":
    """Write the job down; prompt and seed are those of the first picture, the size that of the first pass."""
    from controlnet.core.origin import fingerprint as of_weights
    from controlnet.sampling import Record
    from controlnet.sampling.record import FileRecord

    return Record(
        prompt=job.prompts[0],
        negative_prompt=job.negative,
        seed=job.seed,
        steps=job.steps,
        guidance_scale=job.guidance,
        guidance_rescale=job.guidance_rescale,
        clip_skip=job.clip_skip,
        sampler=job.sampler,
        width=size[0],
        height=size[1],
        base=job.base,
        base_hash=fingerprint,
        vae=None if job.vae is None else _bytes(job.vae),
        text_encoders=tuple(None if path is None else _bytes(path) for path in job.text_encoders),
        prediction_type=job.prediction_type,
        ema=job.ema,
        reuse=job.reuse,
        vae_tile=job.vae_tile,
        loras=tuple(_bytes(lora.path, weight=lora.weight) for lora in job.loras),
        embeddings=tuple(_bytes(added.path, token=added.token) for added in job.embeddings),
        controls=tuple(
            _control_record(job, number, FileRecord(path=text.net, hash=of_weights(net)), photo, made)
            for number, (text, net, photo, made) in enumerate(
                zip(job.controls, nets, photos, maps, strict=True)
            )
        ),
        image=None if job.image is None else _picture(job.image),
        mask=None if job.mask is None else _picture(job.mask),
        feather=job.feather,
        outpaint=dict(job.outpaint),
        strength=job.strength,
        hires=job.hires,
        hires_strength=job.hires_strength,
        upscaler=job.upscaler,
        prompts=tuple(job.prompts) if job.grid else (),
        count=job.count if job.grid else 1,
        grid=job.grid,
        device=base.device.type,
    )


def _control_record(
    job: Job, number: int, net: "FileRecord", photo: "np.ndarray", made: "np.ndarray"
) -> "ControlRecord":
    from controlnet.sampling import ControlRecord
    from controlnet.sampling.control import RULES, mode_of
    from controlnet.sampling.schedule import parse_weight

    text, place = job.controls[number], job.maps().get(number)
    weight = parse_weight(text.weight)
    return ControlRecord.model_validate(
        {
            "net": net,
            "image": _picture(text.image, photo),
            "map": None if place is None else _picture(Path(place.name), made),
            "annotator": job.annotators[number],
            "weight": weight if isinstance(weight, float) else str(weight),
            "start": text.start,
            "end": text.end,
            "mode": mode_of(text.mode),
            "rule": text.rule or RULES[0],
            "law": text.law,
            "taps": text.taps,
            "mask": None if text.mask is None else _picture(text.mask),
        }
    )


def _picture(path: Path, pixels: "np.ndarray | None" = None) -> "FileRecord":
    """Write a picture down with the hash of its pixels, which saving it anew does not change."""
    from controlnet.conditions._image import to_array
    from controlnet.sampling.digest import Digests
    from controlnet.sampling.record import FileRecord

    return FileRecord(path=str(path), hash=Digests().of(to_array(path) if pixels is None else pixels))


def _bytes(path: Path, weight: float | None = None, token: str | None = None) -> "FileRecord":
    from hashlib import file_digest

    from controlnet.sampling.record import FileRecord

    if not path.is_file():  # a folder, as peft writes it
        return FileRecord(path=str(path), weight=weight, token=token)
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()[:16]
    return FileRecord(path=str(path), hash=found, weight=weight, token=token)


def hashes_of(record: "Record") -> dict[str, str]:
    """Give the hash of everything that a picture is made from, by its name."""
    files = [record.image, record.mask, *record.loras, *record.embeddings]
    files += [record.vae, *record.text_encoders]
    for control in record.controls:
        files += [control.net, control.image, control.mask]
    found = {file.path: file.hash for file in files if file is not None}
    return found | {record.base: record.base_hash, DEVICE: record.device}

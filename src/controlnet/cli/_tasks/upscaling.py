"""What `controlnet upscale` does once its options are read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from controlnet.cli._again import UPSCALE
from controlnet.cli._job import Job
from controlnet.cli._loading import controls_of, load, makers_of, nets_of, packed
from controlnet.cli._maps import mapped, save_map
from controlnet.cli._png import save_png
from controlnet.cli._records import record_of
from controlnet.cli._sampling import steps_told
from controlnet.errors import SettingError


@dataclass(frozen=True)
class Tiles:
    """How the picture grows and is divided; None for what the base decides."""

    scale: float
    tile: int | None
    overlap: int | None
    upscaler: str


def run(job: Job, tiles: Tiles) -> list[Path]:
    """Do the job and return the files that it wrote: control maps that were made, then the picture."""
    from controlnet.conditions._image import to_array
    from controlnet.sampling import upscale
    from controlnet.sampling.tiled import tiling_of

    if job.image is None:
        raise SettingError("got no picture to enlarge; wanted one")
    job.check_places()
    makers = makers_of(job)
    picture, photos = to_array(job.image), [to_array(control.image) for control in job.controls]
    base, fingerprint = load(job)
    height, width = picture.shape[:2]
    size = tiling_of(base, (width, height), tiles.scale, tiles.tile, tiles.overlap).size
    maps = [mapped(photo, maker, size) for photo, maker in zip(photos, makers, strict=True)]
    nets = nets_of(job, base)
    with packed(job, base, nets), steps_told() as tell:
        made = upscale(
            base,
            job.prompts[0],
            picture,
            controls_of(job, nets, makers, maps),
            scale=tiles.scale,
            tile=tiles.tile,
            overlap=tiles.overlap,
            strength=job.strength,
            upscaler=tiles.upscaler,
            seed=job.seed,
            progress=tell,
            **job.options(),
        )
    for number, path in job.maps().items():
        save_map(path, maps[number], job.annotators[number])
    # No record as JSON: that is for pictures that `generate` alone makes again.
    told = record_of(job, base, fingerprint, made.size, nets, photos, maps).parameters()
    save_png(job.out, made, {"parameters": told, UPSCALE: json.dumps(asdict(tiles))})
    return [*job.maps().values(), job.out]

"""What `controlnet sample` does once its options are read: load, annotate, sample, write."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from controlnet.cli._controls import ControlText
from controlnet.cli._png import grid, save_png
from controlnet.cli._progress import progress
from controlnet.errors import SettingError

if TYPE_CHECKING:
    import numpy as np

    from controlnet.backbones import Base
    from controlnet.conditions._base import Condition
    from controlnet.sampling import Control, Record
    from controlnet.sampling.control import Mode

Size = tuple[int, int]


@dataclass(frozen=True)
class Job:
    """One call of the command, its options checked as far as it goes without any network."""

    prompt: str
    negative: str
    base: str
    controls: Sequence[ControlText]
    annotators: Sequence[str | None]  # one for each control
    out: Path
    seed: int
    count: int
    steps: int
    guidance: float
    sampler: str
    width: int | None
    height: int | None
    image: Path | None
    mask: Path | None
    strength: float
    grid: bool
    device: str

    def pictures(self) -> list[Path]:
        """Name the files of the results: `out` itself, or numbered ones."""
        if self.count == 1 or self.grid:
            return [self.out]
        return [self.out.with_name(f"{self.out.stem}-{number}.png") for number in range(1, self.count + 1)]

    def maps(self) -> dict[int, Path]:
        """Name the files of the maps that are to be made, by the number of their control."""
        wanted = [number for number, annotator in enumerate(self.annotators) if annotator is not None]
        several = len(self.controls) > 1
        return {n: self.out.with_name(f"{self.out.stem}.map{f'-{n + 1}' * several}.png") for n in wanted}

    def check_places(self) -> None:
        """Raise SettingError where a result could not be written, or would replace a picture that is read."""
        if self.out.suffix.lower() != ".png" or self.out.is_dir():
            raise SettingError(f"got --out {self.out}; wanted a .png file, since that carries the settings")
        read = [*(c.image for c in self.controls), *(c.mask for c in self.controls), self.image, self.mask]
        own = {path.resolve() for path in read if path is not None}
        for path in (*self.pictures(), *self.maps().values()):
            if path.resolve() in own:
                raise SettingError(f"the result would replace {path}, which is read; choose another --out")


def run(job: Job) -> list[Path]:
    """Do the job and return the files that it wrote: control maps that were made, then pictures."""
    from controlnet.backbones import load_base
    from controlnet.conditions import condition
    from controlnet.conditions._image import to_array
    from controlnet.sampling import generate
    from controlnet.sampling.control import mode_of
    from controlnet.sampling.images import picture_size
    from controlnet.sampling.size import output_size

    job.check_places()
    # What can be wrong without a network is found before any is loaded.
    modes: list[Mode] = [mode_of(control.mode) for control in job.controls]
    annotators = [None if spec is None else condition(spec) for spec in job.annotators]
    images = [to_array(control.image) for control in job.controls]
    sizes = [picture_size(image) for image in [*images, *filter(None, [job.image])][:1]]
    base = load_base(job.base, device=_device(job.device))
    size = output_size(base, job.width, job.height, sizes)
    images = [_mapped(image, maker, size) for image, maker in zip(images, annotators, strict=True)]
    controls = [
        _control(base, text, image, mode)
        for text, image, mode in zip(job.controls, images, modes, strict=True)
    ]
    planned = max(1, int(job.steps * job.strength)) * job.count
    with progress("sampling", planned, "steps") as advance:
        made = generate(
            base,
            job.prompt,
            controls,
            negative_prompt=job.negative,
            steps=job.steps,
            guidance_scale=job.guidance,
            seed=job.seed,
            count=job.count,
            sampler=job.sampler,
            width=size[0],
            height=size[1],
            image=job.image,
            mask=job.mask,
            strength=job.strength,
            progress=lambda step, total, latents: advance(1),
        )
    for number, path in job.maps().items():
        _save_map(path, images[number], job.annotators[number])
    made = [grid(made)] if job.grid else made
    for number, (path, picture) in enumerate(zip(job.pictures(), made, strict=True)):
        save_png(path, picture, _record(base, job, size, job.seed + number).texts())
    return [*job.maps().values(), *job.pictures()]


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(
            f"got --device {name} ({reason}); wanted auto, cpu or a device of this machine"
        ) from error
    return name


def _mapped(image: "np.ndarray", annotator: "Condition | None", size: Size) -> "np.ndarray":
    """Make the map at the output's size: lines that were found at another one do not survive the resizing."""
    from controlnet.conditions import annotate
    from controlnet.conditions._image import resized

    return image if annotator is None else annotate(annotator, resized(image, *size))


def _control(base: "Base", text: ControlText, image: "np.ndarray", mode: "Mode") -> "Control":
    from controlnet.checkpoints import load_controlnet
    from controlnet.sampling import Control

    net = load_controlnet(text.net, base=base).eval()
    return Control(net, image, text.weight, text.start, text.end, mode, text.mask)


def _save_map(path: Path, image: "np.ndarray", annotator: str | None) -> None:
    import json

    from PIL import Image

    save_png(path, Image.fromarray(image), {"controlnet": json.dumps({"annotator": annotator})})


def _record(base: "Base", job: Job, size: Size, seed: int) -> "Record":
    from controlnet.sampling import ControlRecord, Record
    from controlnet.sampling.control import mode_of

    return Record(
        prompt=job.prompt,
        negative_prompt=job.negative,
        seed=seed,
        steps=job.steps,
        guidance_scale=job.guidance,
        sampler=job.sampler,
        width=size[0],
        height=size[1],
        base=base.name,
        base_hash=base.fingerprint(),
        controls=[
            ControlRecord(
                Path(c.net).stem, c.image.name, c.weight, c.start, c.end, mode_of(c.mode), annotator
            )
            for c, annotator in zip(job.controls, job.annotators, strict=True)
        ],
        image=None if job.image is None else job.image.name,
        mask=None if job.mask is None else job.mask.name,
        strength=job.strength,
    )

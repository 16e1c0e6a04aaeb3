"""What `controlnet sample` does once its options are read: load, annotate, sample, write."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from controlnet.cli._again import changed
from controlnet.cli._job import Job
from controlnet.cli._loading import controls_of, load, makers_of, nets_of, packed
from controlnet.cli._maps import mapped, save_map
from controlnet.cli._png import grid, save_png
from controlnet.cli._preview import PreviewFile
from controlnet.cli._progress import progress
from controlnet.cli._records import hashes_of, record_of
from controlnet.cli._start import Start

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image
    from torch import Tensor

    from controlnet.backbones import Base
    from controlnet.sampling import Control

Size = tuple[int, int]

log = logging.getLogger(__name__)


def run(job: Job) -> list[Path]:
    """Do the job and return the files that it wrote: control maps that were made, then pictures."""
    from controlnet.conditions._image import to_array

    job.check_task()
    job.check_places()
    makers = makers_of(job)
    photos = [to_array(control.image) for control in job.controls]
    start = Start.of(job)
    views = [
        start.photo(photo, maker, text.net)
        for text, photo, maker in zip(job.controls, photos, makers, strict=True)
    ]
    base, fingerprint = load(job)
    nets = nets_of(job, base)
    passes = _sizes(job, base, start, controls_of(job, nets, [None] * len(nets), views))
    size = passes[-1]
    hard = start.region(size)

    def maps_at(size: Size) -> "list[np.ndarray]":
        return [
            # One that was kept is of the result's size, which is not that of a first pass.
            to_array(text.map) if text.map and maker and len(passes) == 1 else mapped(view, maker, size, hard)
            for text, view, maker in zip(job.controls, views, makers, strict=True)
        ]

    maps = [maps_at(size) for size in passes]
    record = record_of(job, base, fingerprint, passes[0], nets, photos, maps[-1])
    for name in changed(job.known, hashes_of(record)):
        log.warning("%s is not what it was when %s was made: expect another picture", name, job.source)
    controls = [controls_of(job, nets, makers, found) for found in maps]
    with packed(job, base, nets):
        made = _painted(job, base, passes, controls, start)
    for number, path in job.maps().items():
        save_map(path, maps[-1][number], job.annotators[number])
    if job.grid:
        made = [grid(made, job.count if len(job.prompts) > 1 < job.count else None)]
    for number, (path, picture) in enumerate(zip(job.pictures(), made, strict=True)):
        own = {"prompt": job.prompts[number // job.count], "seed": job.seed + number}
        save_png(path, picture, record.model_copy(update=own).texts())
    return [*job.maps().values(), *job.pictures()]


def _sizes(job: Job, base: "Base", start: Start, controls: "Sequence[Control]") -> list[Size]:
    """Settle the size of each pass; a picture that is painted anew in part keeps its own, whatever it is."""
    from controlnet.sampling.images import picture_size
    from controlnet.sampling.second_pass import pass_sizes
    from controlnet.sampling.size import output_size

    if job.hires is not None:
        return list(pass_sizes(base, controls, job.width, job.height, job.hires))
    if start.mask is not None and [(job.width, job.height)] in ([(None, None)], start.sizes()):
        return start.sizes()
    shapes = [*(picture_size(control.image) for control in controls), *start.sizes()]
    return [output_size(base, job.width, job.height, shapes[:1])]


def _painted(
    job: Job, base: "Base", passes: list[Size], controls: "list[list[Control]]", start: Start
) -> "list[Image]":
    """Make the pictures, prompt by prompt; controls are those of each pass."""
    from controlnet.conditions._image import resized
    from controlnet.sampling import generate, hires
    from controlnet.sampling.repaint import inpaint
    from controlnet.sampling.sampler import Sampler

    (width, height), size = passes[0], passes[-1]
    region = start.region(size, job.feather)
    preview = None if job.preview is None else PreviewFile(base, job.preview)
    strengths = (job.strength,) if job.hires is None else (1.0, job.hires_strength)
    calls = sum(Sampler(job.sampler, base.scheduler_config, job.steps, one).count for one in strengths)
    made: list[Image] = []
    with steps_told(calls * job.total) as tell:
        for number, prompt in enumerate(job.prompts):
            seed = job.seed + number * job.count
            if job.hires is not None:
                made += hires(
                    base,
                    prompt,
                    *controls,
                    width=width,
                    height=height,
                    scale=job.hires,
                    strength=job.hires_strength,
                    upscaler=job.upscaler,
                    seed=seed,
                    count=job.count,
                    progress=tell,
                    preview=preview,
                    **job.options(),
                )
            elif start.image is not None and region is not None:
                made += inpaint(
                    base,
                    prompt,
                    resized(start.image, *size),
                    region,
                    controls[0],
                    strength=job.strength,
                    seed=seed,
                    count=job.count,
                    progress=tell,
                    preview=preview,
                    **job.options(),
                )
            else:
                made += generate(
                    base,
                    prompt,
                    controls[0],
                    seed=seed,
                    count=job.count,
                    width=width,
                    height=height,
                    image=start.image,
                    mask=region,
                    strength=job.strength,
                    progress=tell,
                    preview=preview,
                    **job.options(),
                )
    return made


@contextmanager
def steps_told(total: int | None = None) -> "Iterator[Callable[[int, int, Tensor], None]]":
    """Yield what tells a progress bar of `total` steps, else of as many as the first call speaks of.

    The bar is drawn from the first step on.
    """
    with ExitStack() as stack:
        bars: list[Callable[[int], None]] = []

        def tell(step: int, steps: int, latents: "Tensor") -> None:
            if not bars:
                bars.append(stack.enter_context(progress("sampling", total or steps, "steps")))
            bars[0](1)

        yield tell

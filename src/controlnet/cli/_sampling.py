"""What `controlnet sample` does once its options are read: load, annotate, sample, write."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from controlnet.cli._again import changed
from controlnet.cli._job import Job
from controlnet.cli._png import grid, save_png
from controlnet.cli._preview import PreviewFile
from controlnet.cli._progress import progress
from controlnet.cli._records import hashes_of, record_of
from controlnet.errors import SettingError, UnknownName

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from controlnet.backbones import Base
    from controlnet.conditions._base import Condition
    from controlnet.core.controlnet import ControlNet
    from controlnet.sampling import Control

Size = tuple[int, int]

log = logging.getLogger(__name__)


def run(job: Job) -> list[Path]:
    """Do the job and return the files that it wrote: control maps that were made, then pictures."""
    from controlnet.backbones import load_base
    from controlnet.checkpoints import load_controlnet
    from controlnet.conditions import condition
    from controlnet.conditions._image import to_array
    from controlnet.sampling import generate
    from controlnet.sampling.images import picture_size
    from controlnet.sampling.size import output_size

    job.check_places()
    # What can be wrong without a network is found before any is loaded.
    check_controls(job)
    annotators = [None if spec is None else condition(spec) for spec in job.annotators]
    photos = [to_array(control.image) for control in job.controls]
    sizes = [picture_size(image) for image in [*photos, *filter(None, [job.image])][:1]]
    base = load_base(job.base, device=device_of(job.device))
    fingerprint = base.fingerprint()
    size = output_size(base, job.width, job.height, sizes)
    add_to(base, job)
    maps = [
        to_array(control.map) if control.map and maker else mapped(photo, maker, size)
        for control, photo, maker in zip(job.controls, photos, annotators, strict=True)
    ]
    nets = [load_controlnet(control.net, base=base).eval() for control in job.controls]
    record = record_of(job, base, fingerprint, size, nets, photos, maps)
    for name in changed(job.known, hashes_of(record)):
        log.warning("%s is not what it was when %s was made: expect another picture", name, job.source)
    controls = [
        control_of(job, number, net, image)
        for number, (net, image) in enumerate(zip(nets, maps, strict=True))
    ]
    with steps_told() as tell:
        made = generate(
            base,
            list(job.prompts),
            controls,
            negative_prompt=job.negative,
            steps=job.steps,
            guidance_scale=job.guidance,
            guidance_rescale=job.guidance_rescale,
            clip_skip=job.clip_skip,
            seed=job.seed,
            count=job.count,
            sampler=job.sampler,
            width=size[0],
            height=size[1],
            image=job.image,
            mask=job.mask,
            strength=job.strength,
            progress=tell,
            preview=None if job.preview is None else PreviewFile(base, job.preview),
        )
    for number, path in job.maps().items():
        save_map(path, maps[number], job.annotators[number])
    if job.grid:
        made = [grid(made, job.count if len(job.prompts) > 1 < job.count else None)]
    for number, (path, picture) in enumerate(zip(job.pictures(), made, strict=True)):
        own = {"prompt": job.prompts[number // job.count], "seed": job.seed + number}
        save_png(path, picture, record.model_copy(update=own).texts())
    return [*job.maps().values(), *job.pictures()]


def check_controls(job: Job) -> None:
    """Raise what reading the controls' settings raises: UnknownName, SettingError."""
    from controlnet.nearest import unknown
    from controlnet.sampling.control import LAWS, RULES, mode_of
    from controlnet.sampling.schedule import parse_weight
    from controlnet.sampling.tap_weights import parse_taps

    for control in job.controls:
        for what, name, names in (("rule", control.rule, RULES), ("law", control.law, LAWS)):
            if name is not None and name not in names:
                raise UnknownName(unknown(f"{what} of controls", name, names))
        mode_of(control.mode)
        parse_weight(control.weight)
        if control.taps is not None:
            parse_taps(control.taps)


@contextmanager
def steps_told() -> "Iterator[Callable[[int, int, Tensor], None]]":
    """Yield what tells a progress bar; it is drawn from the first step on, when all steps are counted."""
    with ExitStack() as stack:
        bars: list[Callable[[int], None]] = []

        def tell(step: int, total: int, latents: "Tensor") -> None:
            if not bars:
                bars.append(stack.enter_context(progress("sampling", total, "steps")))
            bars[0](1)

        yield tell


def device_of(name: str) -> str:
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


def add_to(base: "Base", job: Job) -> None:
    from controlnet.checkpoints.decoder import add_decoders
    from controlnet.checkpoints.embedding import add_embedding
    from controlnet.checkpoints.lora import add_lora

    add_decoders(base, [control.net for control in job.controls])
    for lora in job.loras:
        add_lora(base, lora.path, lora.weight)
    for embedding in job.embeddings:
        word = add_embedding(base, embedding.path, embedding.token)
        if not any(word in text for text in (*job.prompts, job.negative)):
            log.warning("the word %r of %s is in no prompt, and so has no effect", word, embedding.path)


def mapped(image: "np.ndarray", annotator: "Condition | None", size: Size) -> "np.ndarray":
    """Make the map at the output's size: lines that were found at another one do not survive the resizing."""
    from controlnet.conditions import annotate
    from controlnet.conditions._image import resized

    return image if annotator is None else annotate(annotator, resized(image, *size))


def control_of(job: Job, number: int, net: "ControlNet", image: "np.ndarray") -> "Control":
    from controlnet.sampling import Control
    from controlnet.sampling.control import mode_of
    from controlnet.sampling.schedule import parse_weight
    from controlnet.sampling.tap_weights import parse_taps

    text = job.controls[number]
    weight, taps = parse_weight(text.weight), None if text.taps is None else parse_taps(text.taps)
    made = Control(net, image, weight, text.start, text.end, mode_of(text.mode), text.mask, taps=taps)
    if text.rule is not None:
        made = replace(made, rule=text.rule)  # type: ignore[arg-type]  # Control knows the names
    return made if text.law is None else replace(made, law=text.law)  # type: ignore[arg-type]


def save_map(path: Path, image: "np.ndarray", annotator: str | None) -> None:
    from PIL import Image

    save_png(path, Image.fromarray(image), {"controlnet": json.dumps({"annotator": annotator})})

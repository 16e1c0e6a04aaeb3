"""What `controlnet frames` does once its options are read."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from controlnet.cli._job import Job
from controlnet.cli._progress import progress
from controlnet.cli._records import record_of
from controlnet.cli._sampling import add_to, check_controls, control_of, device_of, mapped
from controlnet.errors import DataError, SettingError

if TYPE_CHECKING:
    from controlnet.conditions._image import Pixels
    from controlnet.sampling import Clip, Control

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sequence:
    """How the frames are kept; rate in frames a second, None for the source's."""

    rate: float | None
    overwrite: bool
    keep: bool


@dataclass
class Done:
    """How many frames were made now, and how many were there."""

    made: int = 0
    kept: int = 0


def run(job: Job, sequence: Sequence) -> Done:
    """Do the job and tell how many frames there are."""
    from controlnet.backbones import load_base
    from controlnet.checkpoints import load_controlnet
    from controlnet.conditions import condition
    from controlnet.sampling import Clip, generate_frames
    from controlnet.sampling.frames import frames_folder
    from controlnet.sampling.size import output_size

    # What can be wrong without a network is found before any is loaded.
    check_controls(job)
    makers = [None if spec is None else condition(spec) for spec in job.annotators]
    followed = [_Followed(Clip(control.image)) for control in job.controls]
    if job.image is None and not followed:
        raise SettingError("got neither --control nor --image; wanted the frames that the pictures follow")
    clip = followed[0].clip if job.image is None else Clip(job.image)
    frames_folder(job.out, [clip, *(one.clip for one in followed)])
    first = next(iter(clip))[1]
    base = load_base(job.base, device=device_of(job.device))
    fingerprint = base.fingerprint()
    size = output_size(base, job.width, job.height, [(first.shape[1], first.shape[0])])
    add_to(base, job)
    nets = [load_controlnet(control.net, base=base).eval() for control in job.controls]
    firsts = [first] * len(nets)
    record = record_of(replace(job, image=None), base, fingerprint, size, nets, firsts, firsts)

    def steered(frame: "Pixels") -> "list[Control]":
        maps = [mapped(one.next(), maker, size) for one, maker in zip(followed, makers, strict=True)]
        return [control_of(job, k, net, one) for k, (net, one) in enumerate(zip(nets, maps, strict=True))]

    done = Done()
    with progress("painting", clip.count, "frames") as advance:

        def note(path: Path, fresh: bool) -> None:
            done.made, done.kept = done.made + fresh, done.kept + (not fresh)
            advance(1)

        generate_frames(
            base,
            job.prompts[0],
            clip.source,
            job.out,
            steered,
            strength=job.strength,
            seed=job.seed,
            width=size[0],
            height=size[1],
            rate=sequence.rate,
            overwrite=sequence.overwrite,
            keep=sequence.keep,
            texts={"parameters": record.parameters()},
            on_frame=note,
            negative_prompt=job.negative,
            steps=job.steps,
            guidance_scale=job.guidance,
            sampler=job.sampler,
        )
    for one in followed:
        one.end()
    return done


class _Followed:
    """The frames of one control, asked for one by one."""

    def __init__(self, clip: "Clip") -> None:
        self.clip, self._frames = clip, iter(clip)

    def next(self) -> "Pixels":
        found = next(self._frames, None)
        if found is None:
            raise DataError(
                f"{self.clip.source} has fewer frames than the first folder or video; wanted as many"
            )
        return found[1]

    def end(self) -> None:
        if next(self._frames, None) is not None:
            _log.warning("%s has more frames than the first folder or video: left out", self.clip.source)

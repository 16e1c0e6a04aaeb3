"""What `controlnet frames` does once its options are read."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from controlnet.cli._job import Job
from controlnet.cli._loading import controls_of, load, makers_of, nets_of, packed
from controlnet.cli._maps import mapped
from controlnet.cli._progress import progress
from controlnet.cli._records import record_of
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
    from controlnet.sampling import Clip, generate_frames
    from controlnet.sampling.frames import frames_folder
    from controlnet.sampling.size import output_size

    makers = makers_of(job)
    followed = [_Followed(Clip(control.image)) for control in job.controls]
    if job.image is None and not followed:
        raise SettingError("got neither --control nor --image; wanted the frames that the pictures follow")
    clip = followed[0].clip if job.image is None else Clip(job.image)
    frames_folder(job.out, [clip, *(one.clip for one in followed)])
    first = next(iter(clip))[1]
    base, fingerprint = load(job)
    size = output_size(base, job.width, job.height, [(first.shape[1], first.shape[0])])
    nets = nets_of(job, base)
    firsts = [first] * len(nets)
    record = record_of(replace(job, image=None), base, fingerprint, size, nets, firsts, firsts)

    def steered(frame: "Pixels") -> "list[Control]":
        maps = [mapped(one.next(), maker, size) for one, maker in zip(followed, makers, strict=True)]
        return controls_of(job, nets, makers, maps)

    done = Done()
    with packed(job, base, nets), progress("painting", clip.count, "frames") as advance:

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
            **job.options(),
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

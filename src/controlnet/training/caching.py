"""Choosing a cache for a run's latents and contexts, and filling the one on the disk before the first step.

Every picture is encoded once as it is and, where flips are drawn, once mirrored: a mirrored picture is
another one to the autoencoder. Then the encoders leave memory. A run that was stopped while it filled goes on
with what is lacking, and a set that was found whole before is not even read.
"""

import json
import logging
import math
import shutil
from collections.abc import Callable
from contextlib import closing
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final, Literal

from controlnet.backbones import Base
from controlnet.data import Loader
from controlnet.data.batch import Dataset
from controlnet.data.manifest import METADATA
from controlnet.data.shards import shards
from controlnet.errors import PlanError
from controlnet.training.disk import Disk, default_folder
from controlnet.training.frozen import Frozen, bytes_each, remembers
from controlnet.training.plan import TrainingPlan
from controlnet.training.sections import GENERATORS, Data

log = logging.getLogger(__name__)

ROOM: Final = 4  # `auto` takes at most this part of what is free on the disk
HEAVY: Final = 2**28  # bytes of encoders that are worth leaving memory: only a cache on the disk lets them
PREFETCH: Final = 2

Moved = Callable[[int, int], bool]
"""Told how many examples are done, of how many; answers whether to stop."""


def choose(plan: TrainingPlan, base: Base, size: int, examples: int) -> Literal["memory", "disk", "none"]:
    """Decide `data.cache` for a run over so many examples; it changes no bit of the run, only its time."""
    stay = plan.control.hint == "vae"  # the encoders, which conditions want at every step
    if plan.data.cache == "disk" and stay:
        raise PlanError(
            "data.cache is disk, after which the encoders leave memory, and control.hint vae wants them at "
            "every step; set data.cache to memory or none"
        )
    if plan.data.cache != "auto":
        return plan.data.cache
    light = remembers(plan.data, base, size, examples)
    if stay or (light and _bytes_of_encoders(base) < HEAVY):
        return "memory" if light else "none"
    passes = plan.steps * plan.optim.batch * plan.optim.accumulation / examples
    needed, folder = examples * bytes_each(plan.data, base, size), folder_of(plan.data)
    room = shutil.disk_usage(_existing(folder)).free / ROOM
    chosen = "disk" if passes >= 2 and needed <= room else "memory" if light else "none"
    log.info(
        "data.cache is %s: latents and contexts of %d examples take up to %.1f GB, %s has room for %.1f GB, "
        "and each is seen %.1f times",
        *(chosen, examples, needed / 1e9, folder, room / 1e9, passes),
    )
    return chosen


def _bytes_of_encoders(base: Base) -> int:
    parts = [p for module in (base.vae, *base.text_encoders) for p in module.parameters()]
    return sum(part.numel() * part.element_size() for part in parts)


def folder_of(plan: Data) -> Path:
    """Return the folder of the cache on the disk."""
    return Path(plan.cache_folder).expanduser() if plan.cache_folder else default_folder()


def fill(
    disk: Disk, frozen: Frozen, pictures: Dataset, name: str, flip: bool, share: tuple[int, int], moved: Moved
) -> bool:
    """Encode what the cache lacks of a data set, this process its share (rank, world); False if stopped.

    pictures: the examples unmirrored, of which no control map is wanted. name: see `name_of`.
    """
    if disk.whole(name):
        log.info("%s holds all latents and contexts of the data", disk.folder)
        return True
    rank, world = share
    count = math.ceil(len(pictures) / world)
    loader = Loader(pictures, 1, shuffle=False, rank=rank, world=world, prefetch=PREFETCH)
    with closing(loader.batches()) as batches:
        for done in range(count):
            if moved(done, count):
                disk.flush()
                return False
            batch = next(batches)
            frozen.prepare(batch.pixels, batch.captions)
            if flip:
                frozen.prepare(batch.pixels.flip(-1), [])
    disk.flush()
    moved(count, count)
    return True


def name_of(plan: Data, size: int) -> str:
    """Name a data set as this run sees it: its list of examples, and what decides their pixels."""
    unlike = {"cache", "cache_folder", "condition", "loss_mask"}
    if plan.buckets is None:  # with them the held-out pictures are cut otherwise
        unlike |= {"held_out", "aspect"}
    values = plan.model_dump(mode="json", exclude=unlike)
    folder = Path(plan.source)
    if plan.source not in GENERATORS and (folder / METADATA).is_file():
        with (folder / METADATA).open("rb") as file:
            values["listed"] = file_digest(file, "sha256").hexdigest()
    elif plan.source not in GENERATORS:
        values["shards"] = [[shard.name, shard.stat().st_size] for shard in shards(folder)]
    return sha256(json.dumps([values, size], sort_keys=True).encode()).hexdigest()[:16]


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())

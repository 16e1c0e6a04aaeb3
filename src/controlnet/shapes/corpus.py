"""Rendered scenes kept as arrays, for the recipe that makes the base, the judge and the controls.

A corpus is a folder of chunks of 500 scenes, `00000.npz`, `00001.npz`, …; a chunk is there whole or not at
all, so a stopped rendering goes on where it was.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controlnet.shapes.render import render

CHUNK: Final = 500
UNSEEN: Final = np.full((18, 3), -1.0, dtype=np.float32)  # keypoints of a scene without a mannequin


def write_corpus(folder: Path, seed: int, count: int, workers: int = 2) -> Iterator[int]:
    """Render scenes 0 … count − 1 of world `seed` into `folder`, giving the number done after each chunk."""
    folder.mkdir(parents=True, exist_ok=True)
    chunks = -(-count // CHUNK)
    missing = [chunk for chunk in range(chunks) if not _path(folder, chunk).exists()]
    done = (chunks - len(missing)) * CHUNK
    with ProcessPoolExecutor(workers) as pool:
        for _ in pool.map(_write_chunk, *zip(*((folder, seed, chunk) for chunk in missing), strict=True)):
            done += CHUNK
            yield min(done, count)


def read_corpus(folder: Path, field: str, count: int) -> NDArray[np.generic]:
    """Read one field of the first `count` scenes, (count, …).

    Fields are image, depth (half precision), normals (int8, times 127), classes, tints, and keypoints, which
    are `UNSEEN` in scenes without a mannequin.
    """
    files = (np.load(_path(folder, chunk), allow_pickle=False) for chunk in range(-(-count // CHUNK)))
    return np.concatenate([file[field] for file in files])[:count]


def _path(folder: Path, chunk: int) -> Path:
    return folder / f"{chunk:05d}.npz"


def _write_chunk(folder: Path, seed: int, chunk: int) -> None:
    views = [render(seed, index) for index in range(chunk * CHUNK, (chunk + 1) * CHUNK)]
    beside = _path(folder, chunk).with_suffix(".part")
    with beside.open("wb") as file:
        np.savez(
            file,
            image=np.stack([view.image for view in views]),
            depth=np.stack([view.depth for view in views]).astype(np.float16),
            normals=np.stack([np.rint(view.normals * 127) for view in views]).astype(np.int8),
            classes=np.stack([view.classes for view in views]),
            tints=np.stack([view.tints for view in views]),
            keypoints=np.stack([UNSEEN if view.keypoints is None else view.keypoints for view in views]),
        )
    os.replace(beside, _path(folder, chunk))

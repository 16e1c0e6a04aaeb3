"""The corpus: whole chunks, resumable, the same as rendering."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from controlnet.shapes import corpus
from controlnet.shapes.corpus import UNSEEN, read_corpus, write_corpus
from controlnet.shapes.render import View, render


class InTurn:
    """A pool without processes, so that the test's small chunks and pictures reach the work."""

    def __init__(self, workers: int) -> None:
        assert workers > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, work: Callable[..., None], *arguments: tuple[object, ...]) -> Iterator[None]:
        return (work(*each) for each in zip(*arguments, strict=True))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Chunks of two pictures of 32 pixels; gives the numbers of the scenes as they are rendered."""
    rendered: list[int] = []

    def watched(seed: int, index: int) -> View:
        rendered.append(index)
        return render(seed, index, 32)

    monkeypatch.setattr(corpus, "CHUNK", 2)
    monkeypatch.setattr(corpus, "ProcessPoolExecutor", InTurn)
    monkeypatch.setattr(corpus, "render", watched)
    return rendered


def test_what_is_written_is_what_is_rendered(tmp_path: Path) -> None:
    assert list(write_corpus(tmp_path, 2, 5)) == [2, 4, 5]
    views = [render(2, index, 32) for index in range(5)]
    for field in ("image", "classes", "tints"):
        assert np.array_equal(read_corpus(tmp_path, field, 5), np.stack([getattr(v, field) for v in views]))
    depth, true = read_corpus(tmp_path, "depth", 5), np.stack([view.depth for view in views])
    assert np.array_equal(depth, true.astype(np.float16))
    normals = read_corpus(tmp_path, "normals", 5).astype(float) / 127
    assert np.abs(normals - np.stack([view.normals for view in views])).max() < 0.005
    for stored, view in zip(read_corpus(tmp_path, "keypoints", 5), views, strict=True):
        assert np.array_equal(stored, UNSEEN if view.keypoints is None else view.keypoints)


def test_a_stopped_rendering_goes_on(tmp_path: Path, small: list[int]) -> None:
    first = write_corpus(tmp_path, 2, 6)
    assert next(first) == 2
    first.close()
    (tmp_path / "00001.part").write_bytes(b"half a chunk")
    assert list(write_corpus(tmp_path, 2, 6)) == [4, 6]
    assert small == [0, 1, 2, 3, 4, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.npz", "00001.npz", "00002.npz"]
    assert list(write_corpus(tmp_path, 2, 6)) == [] and len(small) == 6

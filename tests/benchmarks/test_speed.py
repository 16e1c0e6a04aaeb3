"""The measurements of speed and memory run, on a tiny base, and compare what is equal."""

from pathlib import Path

import pytest

from benchmarks import reuse, sampling_memory, sd15
from benchmarks.frame import Report
from benchmarks.pair import Pair, ratios, tasks, versus
from controlnet.backbones import Base, load_base
from tests.helpers import tiny_base


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def base(folder: Path) -> Base:
    return load_base(folder)


def values(report: Report) -> dict[str, float]:
    return {figure.what: figure.value for figure in report.figures}


def test_both_sides_make_the_same_latents_and_are_timed(base: Base) -> None:
    pair, wanted = Pair(base, 64), tasks(2, 3)
    assert len(wanted) == 3
    for task in wanted.values():
        assert pair.difference(task) <= 1e-5
        assert pair.ours(task).abs().mean() > 0.1
    plain = pair.ours(tasks(2, 3)["end=0.5"])
    assert not plain.equal(pair.ours(tasks(2, 3)["full interval"]))
    found = ratios(versus(pair, wanted, 1), dict.fromkeys(wanted, 1.0))
    assert len(found) == 3 and all(figure.value > 0 for figure in found)


def test_random_weights_are_compared_packed_too(base: Base) -> None:
    found = values(sd15.measure(1, base, 64, 2))
    assert found["largest difference of latents / largest latent"] <= 1e-5
    assert found["operations of a guided step"] > 0
    assert all(value > 0 for name, value in found.items() if "difference" not in name)


@pytest.mark.slow
def test_every_way_of_sampling_is_scored(base: Base) -> None:
    found = values(reuse.measure(2, base, Pair(base, 64).net))
    for name in list(reuse.WAYS)[1:]:
        assert found[f"{name}: times as fast"] > 0
        assert f"{name}: adherence lost" in found


@pytest.mark.slow
def test_nothing_is_kept_of_pictures_that_are_made(folder: Path) -> None:
    """200 pictures in one process; 16 MiB is what the allocator may scatter."""
    early, late = sampling_memory.held_after(str(folder), 20, 200)
    assert late - early < 16 * 2**20

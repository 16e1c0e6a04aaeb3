"""From the data section of a plan to examples."""

from pathlib import Path

import numpy as np
import pytest
import torch

from controlnet.conditions import annotate
from controlnet.data import DatasetWriter, Subset
from controlnet.data.circles import draw
from controlnet.errors import DataError, PlanError, UnknownName
from controlnet.training.sections import Data
from controlnet.training.source import open_data


def example(part: Subset, index: int):
    return part.example(index, np.random.default_rng(0))


def test_circles_are_drawn_and_the_last_ones_held_out() -> None:
    training, held_out = open_data(Data(source="circles", count=10, held_out=3, seed=5), 32, remember=False)
    assert (len(training), len(held_out)) == (7, 3)
    source, target, caption = draw(5, 7, size=32)
    first = example(held_out, 0)
    assert first.caption == caption
    assert torch.equal(((first.pixels + 1) * 127.5).round().byte(), torch.from_numpy(target).permute(2, 0, 1))
    assert torch.equal((first.condition * 255).round().byte(), torch.from_numpy(source).permute(2, 0, 1))


def test_a_condition_is_made_from_the_picture() -> None:
    training, _ = open_data(
        Data(source="circles", count=5, held_out=2, condition="canny(low=10, high=30)"), 64, False
    )
    _, target, _ = draw(0, 1, size=64)
    edges = annotate("canny(low=10, high=30)", target)
    assert torch.equal(
        (example(training, 1).condition * 255).byte(), torch.from_numpy(edges).permute(2, 0, 1)
    )


@pytest.mark.parametrize("condition", ["canny", "depth"])
def test_shapes_are_rendered_with_the_map_asked_for(condition: str) -> None:
    from controlnet.shapes import render

    plan = Data(source="shapes", count=3, held_out=2, seed=4, condition=condition)
    training, _ = open_data(plan, 32, remember=False)
    view = render(4, 0, 32)
    wanted = view.control("depth") if condition == "depth" else annotate("canny", view.image)
    found = example(training, 0)
    assert found.caption == view.caption
    assert torch.equal((found.condition * 255).round().byte(), torch.from_numpy(wanted).permute(2, 0, 1))


def test_drawn_examples_are_kept_if_they_shall_be(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr(
        "controlnet.training.source.Circles",
        lambda seed, size: lambda index: made.append(index) or (*draw(seed, index, size)[1::-1], "c"),
    )
    for remember, times in ((True, 1), (False, 3)):
        made.clear()
        training, _ = open_data(Data(source="circles", count=4, held_out=2), 32, remember)
        found = [example(training, 1) for _ in range(3)]
        assert len(made) == times
        assert torch.equal(found[0].pixels, found[2].pixels)


def test_a_folder_with_its_own_maps_or_with_made_ones(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path) as writer:
        for index in range(4):
            source, target, caption = draw(0, index, size=64)
            writer.add(target, source, caption, {"generator": "circles", "label_map": True})
    stored, _ = open_data(Data(source=str(tmp_path), held_out=2), 32, remember=False)
    made, _ = open_data(Data(source=str(tmp_path), held_out=2, condition="canny"), 32, remember=False)
    assert len(stored) == 2 and example(stored, 0).pixels.shape == (3, 32, 32)
    assert torch.equal(example(stored, 0).pixels, example(made, 0).pixels)
    assert not torch.equal(example(stored, 0).condition, example(made, 0).condition)


@pytest.mark.parametrize(
    ("plan", "error", "told"),
    [
        (Data(source="nowhere/at-all"), PlanError, "no folder here"),
        (Data(source="circles", count=8, held_out=8), PlanError, "hold out fewer"),
        (Data(source="shapes", count=8, held_out=2), PlanError, "condition is missing"),
        (Data(source="circles", count=8, held_out=2, condition="cany"), UnknownName, "canny"),
    ],
)
def test_what_cannot_be_opened(plan: Data, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        open_data(plan, 32, remember=False)


def test_a_folder_that_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"metadata\.jsonl"):
        open_data(Data(source=str(tmp_path)), 32, remember=False)

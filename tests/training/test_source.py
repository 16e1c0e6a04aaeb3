"""From the data section of a plan to examples."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.conditions import annotate
from controlnet.data import Batch, DatasetWriter, Subset
from controlnet.data.circles import draw
from controlnet.errors import DataError, PlanError, UnknownName
from controlnet.training.sections import Data
from controlnet.training.source import groups_of, open_data, open_pictures, shards_of


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


def written(folder: Path, condition: str | None, masks: bool = False) -> Path:
    """Four pictures of 40×80 and 80×40, their maps of such a condition."""
    rng = np.random.default_rng(0)
    with DatasetWriter(folder) as writer:
        for index in range(4):
            picture = rng.integers(0, 256, (40, 80, 3) if index % 2 else (80, 40, 3), np.uint8)
            writer.add(picture, picture, f"picture {index}", {"condition": condition} if condition else {})
    if masks:
        lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
        for index, line in enumerate(lines[:-1]):
            size = (80, 40) if index % 2 else (40, 80)
            mask = Image.new("L", size)
            mask.paste(255, (0, 0, size[0] // 2, size[1]))
            mask.save(folder / f"mask{index}.png")
            line["mask"] = f"mask{index}.png"
        (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.mark.parametrize("spec", ["openpose", "openpose(hands=True)", "normal_bae", "normal"])
def test_maps_that_know_left_from_right_are_not_mirrored(tmp_path: Path, spec: str) -> None:
    plan = Data(source=str(written(tmp_path, spec)), held_out=2, flip=True)
    with pytest.raises(PlanError, match="know left from right"):
        open_data(plan, 32, remember=False)
    open_data(plan.model_copy(update={"flip": False}), 32, remember=False)
    made, _ = open_data(
        plan.model_copy(update={"condition": "canny"}), 32, remember=False
    )  # after the mirror
    for seed in range(6):
        sample = made.example(0, np.random.default_rng(seed))
        pixels = ((sample.pixels + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(annotate("canny", pixels)[..., 0], (sample.condition[0] * 255).byte().numpy())


@pytest.mark.parametrize(
    ("spec", "mirrors"), [("canny", True), ("depth", True), ("openpose", False), ("normal", False)]
)
def test_the_embedded_worlds_maps_are_mirrored_where_that_is_true(spec: str, mirrors: bool) -> None:
    plan = Data(source="shapes", count=3, held_out=2, condition=spec, flip=True)
    if mirrors:
        open_data(plan, 32, remember=False)
    else:
        with pytest.raises(PlanError, match="know left from right"):
            open_data(plan, 32, remember=False)


@pytest.mark.parametrize("condition", ["canny", "somebodys_own", None])
def test_other_maps_may_be_mirrored(tmp_path: Path, condition: str | None) -> None:
    open_data(Data(source=str(written(tmp_path, condition)), held_out=2, flip=True), 32, remember=False)


def test_buckets_are_for_training_and_squares_for_measuring(tmp_path: Path) -> None:
    plan = Data(source=str(written(tmp_path, None)), held_out=2, buckets=8)
    training, held_out = open_data(plan, 24, remember=False)
    assert [example(training, index).pixels.shape[1:] for index in (0, 1)] == [(32, 16), (16, 32)]
    assert [example(held_out, index).pixels.shape[1:] for index in (0, 1)] == [(24, 24), (24, 24)]
    groups = groups_of(plan, 24, training)
    assert groups is not None and len(groups) == 2 and groups[0] != groups[1]
    assert groups_of(plan.model_copy(update={"buckets": None}), 24, training) is None
    pictures = open_pictures(plan, 24)
    assert len(pictures) == 4
    for index, part in ((0, training), (1, training), (2, held_out), (3, held_out)):
        found = pictures.example(index, np.random.default_rng(0))
        assert torch.equal(found.pixels, example(part, index % 2).pixels)


def test_masks_go_through_the_same_transform(tmp_path: Path) -> None:
    plan = Data(source=str(written(tmp_path, None, masks=True)), held_out=2, loss_mask=True, flip=True)
    training, held_out = open_data(plan, 32, remember=False)
    for seed in range(6):
        sample = training.example(0, np.random.default_rng(seed))
        mirrored = not torch.equal(sample.pixels, training.example(0, np.random.default_rng(0)).pixels)
        plain = training.example(0, np.random.default_rng(0)).mask
        assert sample.mask is not None and plain is not None and sample.mask.shape == (1, 32, 32)
        assert sample.mask.mean().item() == pytest.approx(0.5) and set(sample.mask.unique().tolist()) == {
            0,
            1,
        }
        assert torch.equal(sample.mask, plain.flip(-1) if mirrored else plain)
    assert example(held_out, 1).mask is None
    batch = Batch.of([example(held_out, 0), example(held_out, 1)], [0, 1])
    assert batch.mask is not None and batch.mask.mean((1, 2, 3)).tolist() == [0.5, 1.0]
    off, _ = open_data(plan.model_copy(update={"loss_mask": False}), 32, remember=False)
    assert example(off, 0).mask is None


def test_masks_that_are_not_there_or_do_not_fit(tmp_path: Path) -> None:
    bare = Data(source=str(written(tmp_path / "bare", None)), held_out=2, loss_mask=True)
    with pytest.raises(PlanError, match='has no masks; add the column "mask"'):
        open_data(bare, 32, remember=False)
    folder = written(tmp_path / "masked", None, masks=True)
    Image.new("L", (7, 7)).save(folder / "mask0.png")
    training, _ = open_data(Data(source=str(folder), held_out=2, loss_mask=True), 32, remember=False)
    with pytest.raises(DataError, match=r"1 of 4 examples .* its mask 7×7"):
        example(training, 0)


def test_shards_are_a_source_too_and_are_told_apart(tmp_path: Path) -> None:
    folder = written(tmp_path / "set", None)
    (tmp_path / "shards").mkdir()
    for number in range(2):
        with tarfile.open(tmp_path / "shards" / f"{number:05d}.tar", "w") as tar:
            for index in (2 * number, 2 * number + 1):
                tar.add(folder / f"images/{index:08d}.png", f"{index:08d}.png")
                tar.add(folder / f"conditioning/{index:08d}.png", f"{index:08d}.cond.png")
                (tmp_path / "caption").write_text(f"picture {index}")
                tar.add(tmp_path / "caption", f"{index:08d}.txt")
    plan = Data(source=str(tmp_path / "shards"), held_out=2, buckets=8)
    training, _ = open_data(plan.model_copy(update={"held_out": 1}), 24, remember=False)
    numbers = shards_of(training)
    assert numbers is not None and numbers.tolist() == [0, 0, 1]
    assert [example(training, index).pixels.shape[1:] for index in (0, 1)] == [(32, 16), (16, 32)]
    assert example(training, 2).caption == "picture 2"
    plain, _ = open_data(Data(source=str(folder), held_out=2), 24, remember=False)
    assert shards_of(plain) is None

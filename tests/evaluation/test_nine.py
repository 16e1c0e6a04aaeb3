"""Nine conditions on the embedded world: measured without weights, each as suits it, side by side."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.cli._evaluate.sheet import SIDE, write_sheet
from controlnet.evaluation.cases import Cases
from controlnet.evaluation.choice import adherence, rehearse
from controlnet.evaluation.measuring import _closed
from controlnet.evaluation.results import About, Measure, Report, Row, Section, overview
from controlnet.registry import find, get, parse
from controlnet.shapes.render import render

SIZE = 128
NINE = {
    "canny": ("edge_f1", True),
    "softedge_gradient": ("msssim", True),
    "scribble": ("edge_f1", True),
    "lineart": ("msssim", True),
    "lines": ("edge_f1", True),
    "depth": ("depth_rmse", False),
    "normal": ("normal_angle", False),
    "openpose": ("pose_pck", True),
    "segmentation": ("segmentation_miou", True),
}


@pytest.mark.parametrize("name", NINE)
def test_each_is_measured_as_suits_it_and_the_truth_beats_another_scene(name: str) -> None:
    cases = Cases("shapes", name, SIZE, 9)
    spec, (wanted, higher) = adherence(cases.spec), NINE[name]
    assert parse(spec)[0] == wanted and find("metrics", wanted).higher_is_better is higher
    rehearse(spec, SIZE)  # no weights are asked for
    own, other = get("metrics", spec), get("metrics", spec)
    case, another = cases[0], cases[8]  # a mannequin either time
    own.update(case.truth, case.condition, case.caption, case.truth)
    other.update(another.truth, case.condition, case.caption, case.truth)
    (one, *_), (two, *_) = own.compute().values(), other.compute().values()
    assert one > two if higher else one < two


def test_a_scribble_of_photographs_is_not_the_worlds(tmp_path: Path) -> None:
    """The world's own names stand for its own maps only where its own scenes are."""
    from controlnet.data import DatasetWriter

    view = render(3, 0, 64)
    for generator, spec in (("shapes", "shapes_scribble"), ("folder", "scribble")):
        with DatasetWriter(tmp_path / generator) as writer:
            told = {"generator": generator, "condition": "scribble", "label_map": True}
            writer.add(view.image, view.control("scribble"), view.caption, told)
        assert Cases(tmp_path / generator, None, 64, 1).spec == spec


def row(kind: str, value: float, prompt: str = "perfect") -> Row:
    name = {"control": "mine"}.get(kind, kind)
    return Row(name, kind, prompt, 2, {"depth_rmse": Measure(value, (value - 1, value + 1), 2, {})})  # pyright: ignore[reportArgumentType]


def test_less_is_better_where_errors_are_measured() -> None:
    rows = [row("prompt only", 40.0), row("control", 20.0), row("ceiling", 10.0, "any")]
    assert _closed(rows[1], rows, "depth_rmse") == pytest.approx(2 / 3)
    worse = [rows[0], row("control", 43.0), rows[2]]
    assert _closed(worse[1], worse, "depth_rmse") == pytest.approx(-0.1)


def sections() -> list[Section]:
    about = About("depth_rmse", "Error", "RMSE", False, "")
    rows = [row("prompt only", 40.0), row("control", 20.0), row("ceiling", 10.0, "any")]
    grid = [
        ("a cube", [(np.full((8, 8, 3), value, np.uint8), "") for value in (0, 50, 100, 150, 200)]),
        ("a cone", [(np.full((8, 8, 3), value, np.uint8), "20.0") for value in (0, 50, 100, 150, 200)]),
    ]
    return [Section(name, "depth_rmse", {"depth_rmse": about}, rows, (), grid) for name in ("depth", "other")]


def test_one_table_has_a_row_for_each_condition() -> None:
    head, rows = overview(sections())
    assert [line[0] for line in rows] == ["depth", "other"] and len(head) == len(rows[0])
    assert rows[0][1:4] == ["mine, perfect", "2", "depth_rmse ↓"]
    assert rows[0][4:6] == ["40.00 [39.00, 41.00]", "20.00 [19.00, 21.00]"]
    text = Report("All", sections(), {}, Path("out")).markdown()
    assert text.index("## Adherence under every condition") < text.index("## depth\n")


def test_the_sheet_has_a_column_for_each_condition_and_two_rows_for_each_scene(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlnet.cli._evaluate.sheet.few_colours", lambda drawn: drawn)
    write_sheet(Report("All", sections(), {}, tmp_path), tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as drawn:
        pixels = np.asarray(drawn.convert("L")).astype(int)
    shades = {value: (np.abs(pixels - value) <= 2).sum() // SIDE**2 for value in (0, 50, 100, 150)}
    # True picture and prompt only once a scene, map and picture once a scene and condition.
    assert shades == {0: 4, 50: 2, 100: 2, 150: 4}

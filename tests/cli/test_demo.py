"""`controlnet demo`: the whole story on a tiny base; stopped, continued, refused, begun anew."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import controlnet.backbones
from controlnet.checkpoints import save_controlnet
from controlnet.checkpoints import shipped as shipping
from controlnet.cli._comparing import closed
from controlnet.cli._demo import story
from controlnet.cli._demo.course import Course
from controlnet.cli._demo.scenes import retold
from controlnet.cli._demo.sheets import MARGIN, Column, Row, sheet
from controlnet.cli.app import main
from controlnet.core.controlnet import ControlNet
from controlnet.errors import TrainingStopped
from controlnet.shapes.palette import COLOURS, FLOORS, SKIES
from controlnet.shapes.scene import draw_scene
from tests.helpers import tiny_base

SMALL = [
    *("--steps", "4", "--scenes", "6", "--set", "data.held_out=4", "--set", "watch.samples=3"),
    *("--set", "watch.gain_samples=4", "--set", "watch.sample_steps=2", "--set", "optim.batch=2"),
    *("--set", "device=cpu", "--set", "watch.gain_every=1", "--set", "watch.adherence_every=2"),
    *("--set", "watch.preview_every=2", "--set", "save.every=2"),
]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An embedded base and two shipped ControlNets, all tiny and random."""
    root = tmp_path_factory.mktemp("weights")
    base = controlnet.backbones.load_base(tiny_base(root / "base"))
    for number, name in enumerate(("canny", "openpose")):
        net = ControlNet.from_base(base, hint="unshuffle")
        generator = torch.Generator().manual_seed(number)
        with torch.no_grad():
            for parameter in net.zeros.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
        save_controlnet(net, root / "controlnets" / f"{name}.safetensors", metadata={})
    return root


@pytest.fixture(autouse=True)
def installed(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controlnet.backbones, "_SHIPPED", installation / "base")
    monkeypatch.setattr(shipping, "FOLDER", installation / "controlnets")


def demo(out: Path, *more: str) -> int:
    return main(["demo", "--out", str(out), *SMALL, *more])


def test_the_whole_story_stopped_and_continued_and_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "demo"

    def stopped(*given: object, **named: object) -> None:
        raise TrainingStopped("stopped by Ctrl-C after step 1")

    with monkeypatch.context() as patch:
        patch.setattr(story, "train", stopped)
        assert demo(out) == 1
    said = capsys.readouterr()
    assert f"controlnet demo --out {out} --steps 4 --scenes 6" in said.err.replace("\n", " ")
    rendered = {path: path.stat().st_mtime_ns for path in (out / "data").rglob("*.png")}
    assert len(rendered) == 20

    assert demo(out) == 0
    said = capsys.readouterr().out
    assert "going on where it stopped" in said
    assert {path: path.stat().st_mtime_ns for path in rendered} == rendered
    assert "bit for bit: yes" in said
    assert re.search(r"step +2 +edge F1 0\.\d+ +control gain [+-]0\.\d+", said)
    tail = said[said.index("Look at") :]
    assert str(out / "index.html") in tail
    assert "controlnet sample" in tail and "controlnet train" in tail

    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics["edge_f1"]) == {"prompt_only", "trained", "shipped", "ceiling"}
    assert set(metrics["closed"]) == {"trained", "shipped"}
    assert metrics["settings"]["seed"] == 0 and metrics["scenes"] == 4
    assert [step for step, _ in metrics["curve"]["gain"]] == [1, 2, 3, 4]
    assert metrics["training"]["steps"] == 4

    page = (out / "index.html").read_text()
    assert "http" not in page and page.count('src="data:image/png;base64,') == 2 == page.count("src=")
    for name in ("sheet", "curve", "shipped"):
        with Image.open(out / f"{name}.png") as image:
            assert image.width > 100 and len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 10

    assert demo(out, "--seed", "1") == 2  # another demo
    assert "--fresh" in capsys.readouterr().err
    monkeypatch.setattr(story.Demo, "run", stopped)
    assert demo(out) == 1
    assert "going on" not in capsys.readouterr().out
    assert not (out / "index.html").exists() and not (out / "data").exists()


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letters.txt").write_text("dear")
    assert demo(tmp_path, "--fresh") == 2
    assert "choose another --out" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_a_mistaken_setting_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo(tmp_path / "demo", "--set", "optim.lrr=1") == 2
    assert "optim.lr" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_samples_are_cut_out_of_the_previews(tmp_path: Path) -> None:
    tones = np.arange(1, 4, dtype=np.uint8) * 50
    preview = np.zeros((24, 24, 3), dtype=np.uint8)
    for number, tone in enumerate(tones):
        preview[8:16, 8 * number : 8 * number + 8] = tone
    (tmp_path / "previews").mkdir()
    Image.fromarray(preview).save(tmp_path / "previews" / "step-000002.png")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 1}\n{"step": 1, "event": "x"}\n')
    (tmp_path / "result.json").write_text("{}")
    course = Course.of(tmp_path)
    assert [np.unique(np.asarray(picture)).tolist() for picture in course.pictures(2)] == [[50], [100], [150]]
    assert course.measured("loss") == [(1, 1)]


@pytest.mark.parametrize(("steps", "most", "shown"), [(3, 7, [1, 2, 3]), (10, 7, [1, 2, 3, 4, 6, 8, 10])])
def test_few_of_many_steps_are_shown_and_always_the_last(steps: int, most: int, shown: list[int]) -> None:
    course = Course([], {step: Path() for step in range(1, steps + 1)}, {})
    assert course.shown(most) == shown


def test_each_picture_of_a_sheet_has_its_place() -> None:
    pictures = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]
    made = sheet(
        [Column("a"), Column("b", "c"), Column("d")], [Row("scene", pictures, ["", "two words"])], 40
    )
    found = np.asarray(made)
    rows, columns = np.nonzero((found == (0, 255, 0)).all(-1))
    assert np.ptp(rows) == np.ptp(columns) == 39
    assert columns.min() == MARGIN + 40 + 6
    without = sheet([Column("a"), Column("b", "c"), Column("d")], [Row("scene", pictures)], 40)
    assert without.height < made.height


@pytest.mark.parametrize("index", range(6))
def test_other_words_keep_the_forms_and_change_every_colour(index: int) -> None:
    scene = draw_scene(9, index)
    told = retold(scene, np.random.default_rng(0), things=True, place=True)
    assert all(solid.kind in told for solid in scene.solids)
    assert f"{scene.floor} floor" not in told and f"{scene.sky} sky" not in told
    used = re.findall("|".join(COLOURS), told.replace("on a snow floor", "").partition(" on a ")[0])
    was = [solid.colour for solid in scene.solids]
    was += [scene.figure.shirt, scene.figure.trousers] if scene.figure else []
    assert not set(used) & set(was) and len(used) == len(was)
    assert sum(floor in told for floor in FLOORS) == sum(sky in told for sky in SKIES) == 1


def test_the_share_of_the_distance() -> None:
    assert closed(0.5, 0.25, 0.75) == 0.5
    assert closed(0.5, 0.75, 0.75) is None

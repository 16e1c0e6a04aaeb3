"""Evaluations of small stand-ins: what is made, measured, resumed, refused and shared out."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.backbones import Base, load_base
from controlnet.checkpoints import save_controlnet
from controlnet.cli.app import main
from controlnet.conditions._networks.load import forget
from controlnet.core.controlnet import ControlNet
from controlnet.data import generate as write_dataset
from controlnet.errors import MissingWeights, SettingError, UnknownName
from controlnet.evaluation import making, run
from controlnet.evaluation.cases import Cases
from controlnet.evaluation.making import Gallery, Sampling
from controlnet.evaluation.ranks import Ranks
from controlnet.evaluation.results import Report
from controlnet.evaluation.run import Request
from controlnet.evaluation.subjects import Subject, pictures_in
from controlnet.evaluation.suite import load_suite, suites
from controlnet.registry import names, parse
from controlnet.shapes.example import Scenes
from tests.helpers import tiny_base
from tests.metric_stand_ins import stand_ins


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def base(place: Path) -> Base:
    return load_base(place)


@pytest.fixture(scope="module")
def net(base: Base, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ControlNet whose zero convolutions are as if trained, with a note of what it was trained on."""
    made = ControlNet.from_base(base)
    chance = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for zero in made.zeros.values():
            for parameter in zero.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=chance) * 0.3)
    path = tmp_path_factory.mktemp("net") / "mine.safetensors"
    plan = {"data": {"condition": "canny"}, "watch": {"mode": "unbalanced", "guidance_scale": 2.0}}
    save_controlnet(made, path, metadata={"plan": plan})
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five scenes with stored canny maps."""
    out = tmp_path_factory.mktemp("set") / "canny"
    scenes = Scenes(3, 64, "canny")
    for _ in write_dataset(out, scenes, 5, scenes.provenance(), 1):
        pass
    return out


def request(base: Base, net: Path, out: Path, **others: Any) -> Request:
    asked: dict[str, Any] = {
        **{
            "controls": {"mine": net},
            "out": out,
            "base": base,
            "count": 3,
            "size": 32,
            "steps": 2,
            "batch": 2,
        },
        **{"metrics": ["edge_f1", "attributes", "kid_shapes"]},
    }
    return Request(**asked | others)


def evaluated(*args: Any, **others: Any) -> Report:
    report = run.evaluate_request(request(*args, **others))
    assert report is not None
    return report


def test_rows_files_and_counts(base: Base, net: Path, tmp_path: Path) -> None:
    report = evaluated(base, net, tmp_path, prompts=("none", "perfect"), seeds=2)
    [section] = report.sections
    assert [(row.subject, row.prompt, row.pictures) for row in section.rows] == [
        ("prompt only", "none", 6),
        ("prompt only", "perfect", 6),
        ("mine", "none", 6),
        ("mine", "perfect", 6),
        ("ceiling", "any", 3),
    ]
    assert section.condition == "canny" and section.adherence == "edge_f1"
    assert section.rows[2].closed is not None and section.rows[0].closed is None
    assert math.isnan(section.rows[0].measures["attributes"].value)  # no prompt, nothing asked for
    told = json.loads((tmp_path / "results.json").read_text())
    rows = told["conditions"][0]["rows"]
    assert [row["measures"]["edge_f1"]["count"] for row in rows] == [6, 6, 6, 6, 3]
    assert rows[0]["measures"]["attributes"] == {
        **{"value": None, "interval": None, "count": 0, "scores": [None] * 6},
        "all": rows[0]["measures"]["attributes"]["all"],
    }
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 27
    assert told["settings"]["guidance scale"] == 2.0 and "unbalanced" in told["settings"]["ControlNet mine"]
    text, page = (tmp_path / "report.md").read_text(), (tmp_path / "index.html").read_text()
    assert "| mine | none | 6 |" in text and page.count("<img") == 3 * 7 and "kid_shapes" in page


def test_a_control_and_the_base_begin_with_the_same_noise(base: Base, net: Path, tmp_path: Path) -> None:
    """With a ControlNet that has no effect yet the pictures are the base's own, bit for bit."""
    silent = tmp_path / "silent.safetensors"
    save_controlnet(ControlNet.from_base(base), silent)
    evaluated(
        base, silent, tmp_path / "out", condition="canny", controls={"silent": silent}, guidance_scale=2.0
    )
    for index in range(3):
        one, other = (
            (tmp_path / "out/pictures" / name / "perfect" / f"{index:06d}.png").read_bytes()
            for name in ("silent", "prompt-only")
        )
        assert one == other


def test_a_stopped_run_goes_on_and_makes_nothing_twice(
    base: Base, net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = evaluated(base, net, tmp_path)
    pictures = {path: path.read_bytes() for path in tmp_path.rglob("pictures/**/*.png")}
    lost = tmp_path / "pictures/mine/perfect/000001.png"
    lost.unlink()
    kept = tmp_path / "pictures/mine/perfect/000000.png"
    when = kept.stat().st_mtime_ns
    sampled: list[int] = []
    true = making.sample_latents

    def counted(*args: Any, **settings: Any) -> Any:
        sampled.append(len(settings["seeds"]))
        return true(*args, **settings)

    monkeypatch.setattr(making, "sample_latents", counted)
    after = evaluated(base, net, tmp_path)
    assert sampled == [2] and kept.stat().st_mtime_ns == when
    assert {path: path.read_bytes() for path in pictures} == pictures
    assert after.record() == before.record()
    evaluated(base, net, tmp_path, metrics=["edge_f1"], seeds=1, prompts=("perfect", "none"))
    assert sampled == [2, 2, 1, 2, 1]  # the other prompt setting alone, of base and ControlNet


@pytest.mark.parametrize(("key", "value"), [("steps", 3), ("seed", 1), ("mode", "balanced"), ("size", 64)])
def test_another_configuration_is_refused_in_the_same_folder(
    base: Base, net: Path, tmp_path: Path, key: str, value: Any
) -> None:
    evaluated(base, net, tmp_path, metrics=["edge_f1"])
    with pytest.raises(SettingError, match=f"{key} .*another --out"):
        evaluated(base, net, tmp_path, metrics=["edge_f1"], **{key: value})


def test_folders_of_ours_and_of_others(base: Base, net: Path, folder: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for number, path in enumerate(sorted((folder / "images").glob("*.png"))):
        Image.open(path).save(theirs / f"{number}.png")
    report = evaluated(
        base, net, tmp_path / "out", data=folder, size=64, pictures={"theirs": theirs}, controls={}
    )
    rows = {row.subject: row for row in report.sections[0].rows}
    assert list(rows) == ["prompt only", "theirs", "ceiling"] and report.sections[0].condition == "canny"
    assert rows["theirs"].measures["edge_f1"].value == 1.0  # they are the true ones
    (theirs / "0.png").unlink()
    (theirs / "1.png").unlink()
    (theirs / "2.png").unlink()
    with pytest.raises(SettingError, match="2 pictures for 3 examples"):
        evaluated(
            base, net, tmp_path / "other", data=folder, size=64, pictures={"theirs": theirs}, controls={}
        )


def test_pictures_are_taken_in_the_order_of_counting(tmp_path: Path) -> None:
    for name in ("10.png", "9.png", "1.jpg", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in pictures_in(tmp_path)] == ["1.jpg", "9.png", "10.png"]


def test_what_cannot_be_measured_is_told_before_a_picture_is_made(
    base: Base, net: Path, tmp_path: Path
) -> None:
    with pytest.raises(MissingWeights, match="pt_inception"):
        evaluated(base, net, tmp_path / "out", metrics=["edge_f1", "fid"])
    with pytest.raises(UnknownName, match="edge_f1"):
        evaluated(base, net, tmp_path / "out", metrics=["edge_f2"])
    with pytest.raises(UnknownName, match="perfect"):
        evaluated(base, net, tmp_path / "out", prompts=("perfekt",))
    assert not (tmp_path / "out").exists()


def test_processes_share_the_work_and_none_does_anothers(base: Base, tmp_path: Path) -> None:
    cases = Cases("shapes", "canny", 32, 5)
    gallery = Gallery(tmp_path, base, cases, Sampling(steps=1, batch=1), 2)
    subject, made = Subject("prompt only", "prompt only"), list[set[str]]()
    for rank in range(3):
        before = {path.name for path in tmp_path.rglob("*.png")}
        gallery.make(subject, ["none"], Ranks(rank, 3), lambda units: None)
        made.append({path.name for path in tmp_path.rglob("*.png")} - before)
    assert all(made) and sum(map(len, made)) == 10 == len(set().union(*made))


def test_ranks_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Ranks.here() == Ranks(0, 1, 0)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Ranks.here() == Ranks(3, 4, 1) and not Ranks.here().first
    monkeypatch.setenv("RANK", "4")
    with pytest.raises(SettingError, match="RANK=4"):
        Ranks.here()


def test_suites_name_metrics_that_there_are() -> None:
    assert {"paper_segmentation", "controlnetpp_canny", "controlnetpp_depth"} <= set(suites())
    for name in suites():
        suite = load_suite(name)
        assert {parse(spec)[0] for spec in suite.metrics} <= set(names("metrics"))
        keys = {key for row in suite.published for key in row} - {"subject"}
        assert all(any(key.startswith(parse(spec)[0]) for spec in suite.metrics) for key in keys)
    with pytest.raises(UnknownName, match="controlnetpp_canny"):
        load_suite("controlnetpp_cany")


@pytest.mark.slow
@pytest.mark.parametrize("name", suites())
def test_suites_run_on_small_stand_ins(
    name: str, place: Path, net: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib import import_module

    condition = load_suite(name).condition
    with stand_ins():
        if condition != "canny":
            import_module(f"tests.annotators.{condition}").place_random()
        sources = ["evaluate", f"mine={net}", "--base", str(place), "--data", str(folder)]
        sizes = ["--count", "2", "--seeds", "1", "--size", "64", "--steps", "1"]
        status = main([*sources, "--suite", name, *sizes, "--out", str(tmp_path)])
    forget()
    assert status == 0, capsys.readouterr().err
    told = json.loads((tmp_path / "results.json").read_text())
    [section] = told["conditions"]
    wanted = [parse(spec)[0] for spec in load_suite(name).metrics]
    assert list(section["metrics"]) == wanted and section["condition"] == condition
    assert section["published"] == [dict(row) for row in load_suite(name).published]
    assert all(row["measures"][wanted[0]]["value"] is not None for row in section["rows"])


def test_the_command_names_what_is_wrong(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words, said in (
        ([], "name a ControlNet"),
        (["cany"], "canny"),
        (["canny", "--suite", "nothing"], "controlnetpp_canny"),
        (["canny", "--prompts", "best"], "perfect"),
        (["a=canny", "a=openpose"], "called 'a'"),
        (["canny", "--pictures", f"x={tmp_path}"], "no pictures"),
    ):
        assert main(["evaluate", *words, "--out", str(tmp_path / "out")]) == 2
        assert said in capsys.readouterr().err
    assert main(["evaluate", "--list"]) == 0
    listed = capsys.readouterr().out
    assert "segmentation_miou" in listed and "paper_segmentation" in listed


def test_stored_maps_are_taken_and_others_made(folder: Path) -> None:
    stored, other = Cases(folder, None, 64, 9), Cases(folder, "invert", 64, 2)
    assert len(stored) == 5 and stored.condition == "canny" and len(other) == 2
    first = np.asarray(Image.open(folder / "conditioning/00000000.png").convert("RGB"))
    assert np.array_equal(stored[0].condition, first)
    assert np.array_equal(other[0].condition, 255 - other[0].truth)
    with pytest.raises(IndexError):
        stored[5]

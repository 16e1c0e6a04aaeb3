"""What goes wrong around a run: one clear line and status 2, or a skip that is reported; nothing is lost.

A full disk is shown by a limit on the size of files: the system then refuses to write on, in the midst of a
file, to Python and to safetensors alike.
"""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from controlnet.backbones import load_base
from controlnet.cli.app import main
from controlnet.data import DatasetWriter
from controlnet.data.build import Recipe, build, open_source
from controlnet.data.circles import draw
from controlnet.training import TrainingPlan, state, train
from controlnet.training.disk import Disk
from controlnet.training.log import JsonLines
from tests.cli.faulting import limited, pictures, the_line
from tests.helpers import tiny_base

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def values(base: Path) -> Mapping[str, Any]:
    return {
        "name": "small",
        "base": str(base),
        "control": {"hint": "unshuffle"},
        "data": {"source": "circles", "count": 8, "held_out": 2},
        "optim": {"batch": 2, "lr": 1e-3},
        "watch": {"gain_every": 2, "gain_samples": 2, "preview_every": 0},
        "save": {"every": 2},
        "steps": 5,
        "device": "cpu",
    }


@pytest.fixture(scope="module")
def whole(values: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    train(TrainingPlan.of(values, [f"out={folder}"]))
    return folder


@pytest.fixture
def run(values: Mapping[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function (arguments, out="run", limit=bytes) -> (status, stderr) of `controlnet train`."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(dict(values)))

    def work(*arguments: str, out: str = "run", limit: int | None = None) -> tuple[int, str]:
        command = ["--quiet", "train", str(plan), "--out", str(tmp_path / out), *arguments]
        if limit is None:
            status = main(command)
            return status, capsys.readouterr().err
        return limited(command, limit)

    return work


def assert_alike(first: Path, second: Path) -> None:
    assert (first / "metrics.jsonl").read_bytes() == (second / "metrics.jsonl").read_bytes()
    weights = [load_file(folder / "controlnet.safetensors") for folder in (first, second)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (200, "/run/plan.yaml'; check the path, the rights and the free space"),
        (30_000, "no state was saved yet"),
    ],
    ids=["plan", "state"],
)
def test_a_full_disk_is_one_line_and_the_run_begins_when_there_is_room(
    run: Run, whole: Path, tmp_path: Path, limit: int, told: str
) -> None:
    status, said = run(limit=limit)
    assert status == 2 and told in the_line(said)
    assert run("--resume")[0] == 0
    assert_alike(tmp_path / "run", whole)
    assert not list((tmp_path / "run").rglob("*.part*"))


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["record", "state", "folder"])
def test_a_disk_that_fills_up_later_costs_no_state(
    run: Run, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        if moment == "record":
            write = JsonLines.write

            def failing(self: JsonLines, record: Mapping[str, Any]) -> None:
                if record["step"] == 4:
                    raise full
                write(self, record)

            patch.setattr(JsonLines, "write", failing)
        elif moment == "state":
            rename = Path.rename

            def refused(self: Path, target: Path) -> Path:
                if self.name == "step-000004.part":
                    raise full
                return rename(self, target)

            patch.setattr(Path, "rename", refused)
        else:
            commit = state.commit

            def lost(root: Path, step: int, *given: Any) -> Path:
                if step == 4:
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                return commit(root, step, *given)

            patch.setattr("controlnet.training.trainer.commit", lost)
        status, said = run()
    line = the_line(said)
    assert status == 2 and "plan.yaml --resume, from" in line and "state/step-000002" in line
    assert ("No space left" in line) == (moment != "folder")
    assert "cannot write in" in (tmp_path / "run" / "index.html").read_text()
    assert run("--resume")[0] == 0
    assert_alike(tmp_path / "run", whole)


def test_a_folder_that_cannot_be_written_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    status, said = run(out="file/run")
    assert status == 2 and "choose a folder that can be written to" in the_line(said)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "state").write_text("in the way")
    status, said = run()
    assert status == 2 and "cannot write in" in the_line(said)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder of forty pictures with maps."""
    with DatasetWriter(tmp_path / "pairs") as writer:
        for index in range(40):
            source, target, caption = draw(0, index, size=32)
            writer.add(target, source, caption, {"generator": "circles"})
    return tmp_path / "pairs"


def folder(place: Path) -> tuple[str, ...]:
    return ("--set", f"data.source={place}", "--set", "data.count=null", "--set", "watch.page=false")


def test_a_missing_picture_is_left_out_and_reported_and_too_many_are_refused(
    run: Run, tmp_path: Path, pairs: Path
) -> None:
    pictures = sorted((pairs / "images").rglob("*.png"))
    pictures[3].unlink()
    status, said = run(*folder(pairs))
    assert status == 0 and "1 of 40 examples skipped: 1 missing file" in said and pictures[3].name in said
    for path in pictures[4:9]:
        path.unlink()
    status, said = run(*folder(pairs), out="again")
    assert status == 2 and "6 of 40 examples" in the_line(said) and "dataset check" in said
    assert not (tmp_path / "again" / "state").exists()


def test_a_picture_that_breaks_off_is_replaced_and_reported(run: Run, pairs: Path) -> None:
    path = sorted((pairs / "images").rglob("*.png"))[-1]  # held out, and read at the first measurement
    path.write_bytes(path.read_bytes()[:-40])
    status, said = run(*folder(pairs), "--set", "steps=2")
    assert status == 0 and "the next good example takes its place" in said and path.name in said


def test_a_corrupt_shard_costs_what_is_behind_the_damage(run: Run, tmp_path: Path) -> None:
    pictures(tmp_path / "in", 40)
    recipe = Recipe.model_validate({"condition": "canny", "layout": "webdataset", "per_shard": 4})
    list(build(open_source(str(tmp_path / "in")), recipe, tmp_path / "set"))
    shards = sorted((tmp_path / "set").glob("*.tar"))
    shards[2].write_bytes(shards[2].read_bytes()[:-3000])
    status, said = run(*folder(tmp_path / "set"))
    assert status == 0 and "examples skipped: 1 damaged shard" in said and shards[2].name in said
    for shard in shards[3:]:
        shard.write_bytes(b"\x00garbage" * 700)
    status, said = run(*folder(tmp_path / "set"), out="again")
    assert status == 2 and "damaged shard" in the_line(said)


def changed_base(base: Path, place: Path) -> Path:
    """Copy a base with another autoencoder."""
    shutil.copytree(base, place)
    file = place / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    save_file({key: value * 1.01 for key, value in weights.items()}, file, metadata={"format": "pt"})
    return place


@pytest.mark.slow
def test_a_cache_of_another_base_is_never_read(run: Run, tmp_path: Path, base: Path) -> None:
    other = changed_base(base, tmp_path / "other")
    cache = ("--set", "data.cache=disk", "--set", f"data.cache_folder={tmp_path / 'cache'}")
    theirs = ("--set", f"base={other}", "--set", "steps=2")
    assert run(*cache, "--set", "steps=2", out="first")[0] == 0
    shards = list((tmp_path / "cache").glob("latents-*/*.safetensors"))
    place = Disk(load_base(other), tmp_path / "cache", lambda: pytest.fail("loaded")).pictures.folder
    assert shards and place != shards[0].parent
    shutil.copytree(shards[0].parent, place)  # as somebody does who believes that it saves time
    status, said = run(*theirs, *cache, out="second")
    assert status == 0 and "was made by VAE" in said and "it is left out" in said
    assert run(*theirs, "--set", "data.cache=none", out="plain")[0] == 0
    assert_alike(tmp_path / "plain", tmp_path / "second")


def test_a_state_of_another_base_is_refused(run: Run, tmp_path: Path, base: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(base, own)
    assert run("--set", f"base={own}", "--set", "steps=2")[0] == 0
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    file = own / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    save_file({key: value + 0.01 for key, value in weights.items()}, file, metadata={"format": "pt"})
    status, said = run("--set", f"base={own}", "--resume")
    assert status == 2 and "was trained with the base" in the_line(said)
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("version: 2", "is of version 2, and this controlnet reads plans up to version 1"),
        ("version: old", "version is 'old', wanted a whole number from 1"),
        ("lr: 1.0e-4", "did you mean optim.lr?"),
        ("learning_rate: 1.0e-4", "a plan has no key 'learning_rate'"),
    ],
)
def test_plans_of_other_versions_get_a_clear_answer(run: Run, tmp_path: Path, line: str, told: str) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"{plan.read_text()}{line}\n")
    status, said = run()
    assert status == 2 and told in the_line(said) and not (tmp_path / "run").exists()


def test_a_run_begun_before_plans_had_versions_goes_on(run: Run, tmp_path: Path) -> None:
    assert run("--set", "steps=2")[0] == 0
    saved = tmp_path / "run" / "plan.yaml"
    values = yaml.safe_load(saved.read_text())
    assert values.pop("version") == 1
    for section, keys in {"data": ["buckets", "loss_mask"], "watch": ["page", "wandb", "divergence"]}.items():
        for key in keys:
            del values[section][key]
    saved.write_text(yaml.safe_dump(values))
    assert run("--resume")[0] == 0
    events = [
        line for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines() if "event" in line
    ]
    assert events == ['{"step": 2, "event": "the plan was changed", "steps": [2, 5]}']

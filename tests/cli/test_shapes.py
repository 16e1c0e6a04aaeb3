"""`controlnet shapes`: each stage on a world of a few scenes, what is shipped, and the model card."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

import controlnet.backbones
from controlnet.backbones import load_base
from controlnet.checkpoints import describe, load_controlnet, save_controlnet
from controlnet.cli._shapes.card import thinned
from controlnet.cli._shapes.world import Weights
from controlnet.cli.app import main
from controlnet.core.controlnet import ControlNet
from controlnet.shapes import corpus as corpus_module
from controlnet.shapes.recipe import judge as judge_recipe
from tests.helpers import tiny_base


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world whose base is tiny, with a ControlNet that has an effect, and the logs of a training."""
    root = tmp_path_factory.mktemp("made") / "world"
    tiny_base(root / "model")
    config = root / "model" / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"_name_or_path": str(root)}))
    net = ControlNet.from_base(load_base(root / "model"), hint="unshuffle")
    with torch.no_grad():
        for parameter in net.zeros.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)) * 0.1)
    plan = {"base": str(root), "out": str(root), "steps": 7, "optim": {"batch": 2, "accumulation": 1}}
    run = root / "controlnets" / "canny"
    save_controlnet(net, run / "controlnet.safetensors", metadata={"plan": plan, "step": 7})
    records = [{"step": step, "gain": step / 10, "adherence": step / 20} for step in range(1, 4)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    log = root / "model" / "base_run" / "log.jsonl"
    log.parent.mkdir()
    log.write_text("".join(json.dumps({"step": step, "mse": 1 / step}) + "\n" for step in range(1, 9)))
    return root


@pytest.fixture(scope="module")
def weights(world: Path) -> Path:
    """What is shipped of that world."""
    to = world.parent / "weights"
    assert main(["shapes", "export", "--out", str(world), "--to", str(to)]) == 0
    return to


def test_scenes_autoencoder_and_base_are_made_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "world")
    assert main(["shapes", "autoencoder", "--out", out]) == 2
    assert "controlnet shapes corpus" in capsys.readouterr().err
    monkeypatch.setattr(corpus_module, "CHUNK", 3)
    corpus_module._write_chunk(_made(tmp_path / "world" / "corpus"), 1, 0)
    assert main(["shapes", "corpus", "--out", out, "--count", "3"]) == 0  # there already
    assert main(["shapes", "base", "--out", out]) == 2
    assert "controlnet shapes autoencoder" in capsys.readouterr().err
    for stage in ("autoencoder", "base"):
        assert main(["shapes", stage, "--out", out, "--steps", "2", "--scenes", "3"]) == 0
        assert "after 2 steps" in capsys.readouterr().out
        assert (
            main(["shapes", stage, "--out", out, "--steps", "2", "--scenes", "3"]) == 0
        )  # nothing left to do
    assert load_base(tmp_path / "world" / "model").sample_size == 128


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_the_judge_is_trained_where_it_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Path, Path, int, int]] = []

    def train(
        corpus: Path, out: Path, scenes: int, schedule: judge_recipe.Schedule
    ) -> Iterator[dict[str, float]]:
        asked.append((corpus, out, scenes, schedule.steps))
        yield {"step": schedule.steps, "loss": 0.5}

    monkeypatch.setattr(judge_recipe, "train", train)
    (tmp_path / "corpus").mkdir()
    assert main(["shapes", "judge", "--out", str(tmp_path), "--steps", "9"]) == 0
    assert asked == [(tmp_path / "corpus", tmp_path / "judge", judge_recipe.SCENES, 9)]
    assert "loss 0.5000" in capsys.readouterr().out


def test_what_is_shipped_is_half_as_large_and_the_same_model(world: Path, weights: Path) -> None:
    made, shipped = load_base(world / "model"), load_base(weights / "base")
    assert shipped.fingerprint() == made.fingerprint()
    prompts = made.encode_prompts(["a red cube"]).tokens, shipped.encode_prompts(["a red cube"]).tokens
    torch.testing.assert_close(*prompts, atol=1e-2, rtol=1e-2)
    for path in weights.rglob("*.safetensors"):
        with safe_open(str(path), framework="pt") as file:
            kinds = {file.get_slice(key).get_dtype() for key in file.keys()}  # noqa: SIM118
        assert kinds <= {"F16", "I64"}, path
    assert 0 < Weights(weights).size < 2**20


def test_what_is_shipped_does_not_tell_where_it_was_made(world: Path, weights: Path) -> None:
    for path in weights.rglob("*"):
        assert path.is_dir() or str(world).encode() not in path.read_bytes(), path
    plan = describe(weights / "controlnets" / "canny.safetensors")["metadata"]["plan"]
    assert plan["base"] == "shapes" and plan["out"] is None and plan["steps"] == 7


def test_a_shipped_controlnet_is_the_trained_one(world: Path, weights: Path) -> None:
    trained = load_controlnet(world / "controlnets" / "canny" / "controlnet.safetensors").state_dict()
    for name, tensor in load_controlnet(weights / "controlnets" / "canny.safetensors").state_dict().items():
        assert torch.equal(tensor.half(), trained[name].half()), name


def test_an_empty_world_has_nothing_to_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shapes", "export", "--out", str(tmp_path), "--to", str(tmp_path / "w")]) == 2
    assert "controlnet shapes base" in capsys.readouterr().err


def test_quality_is_measured_part_by_part_and_told_in_the_card(
    world: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(*parts: str) -> int:
        named = [word for part in parts for word in ("--part", part)]
        return main(["shapes", "measure", "--to", str(weights), "--scenes", "3", *named])

    assert measure("autoencoder") == 0
    assert measure("canny") == 0
    found = json.loads((weights / "quality.json").read_text())
    assert set(found) == {"autoencoder", "canny"}
    assert set(found["canny"]) >= {"prompt_only", "controlled", "ceiling", "closed", "metric", "scenes"}
    assert 0 < found["autoencoder"]["psnr_db"] < 60
    assert found["autoencoder"]["edge_f1"] == found["canny"]["ceiling"]
    capsys.readouterr()
    assert measure("cany") == 2
    assert "canny" in capsys.readouterr().err

    assert main(["shapes", "card", "--out", str(world), "--to", str(weights)]) == 0
    card = (weights / "README.md").read_text()
    assert f"| {found['canny']['controlled']} |" in card
    assert "controlnet shapes measure --part canny --scenes 3" in card
    assert "controlnets/canny.safetensors" in card and "7 steps of 2" in card
    assert "![training curves](curves.png)" in card and (weights / "curves.png").is_file()
    assert max(map(len, (line for line in card.splitlines() if not line.startswith("|")))) <= 115


def test_a_noisy_curve_is_thinned_to_the_means_of_its_stretches() -> None:
    points = [(float(step), float(step % 2)) for step in range(1, 101)]
    assert thinned(points, 10) == [(float(step), 0.5) for step in range(10, 101, 10)]
    assert thinned(points[:3], 10) == points[:3]
    assert np.mean([y for _, y in thinned(points, 7)]) == pytest.approx(0.5, abs=0.02)


def test_a_controlnet_is_trained_after_its_plan_and_goes_on(
    tmp_path: Path, world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(controlnet.backbones, "_SHIPPED", world / "model")
    small = {
        "data.count": 8, "data.held_out": 4, "watch.samples": 2,
        "watch.gain_samples": 4, "watch.gain_every": 1,
        "watch.adherence_every": 2, "watch.preview_every": 0, "watch.sample_steps": 2, "optim.batch": 2,
        "device": "cpu",
    }  # fmt: skip
    options = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]

    def train(steps: int) -> int:
        return main(
            ["shapes", "controlnet", "canny", "--out", str(tmp_path), *options, "--set", f"steps={steps}"]
        )

    assert train(1) == 0 and train(2) == 0
    folder = tmp_path / "controlnets" / "canny"
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert sorted(set(steps)) == [1, 2]
    assert describe(folder / "controlnet.safetensors")["metadata"]["step"] == 2

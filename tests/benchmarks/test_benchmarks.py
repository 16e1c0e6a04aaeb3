"""The measurements run, with tiny counts on a tiny base, and their tables say what was found."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import __main__ as runner
from benchmarks import checkpoints, feeding, loading, sampling, shapes_conditions, trainers, training_step
from benchmarks import random_base as bases
from benchmarks.frame import Figure, Report, about, in_turns, machine, ratio
from controlnet.backbones import load_base
from controlnet.core.controlnet import ControlNet
from controlnet.shapes import View
from tests.helpers import tiny_base


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


def values(report: Report) -> dict[str, float]:
    return {figure.what: figure.value for figure in report.figures}


def test_sampling_counts_what_control_adds(folder: Path) -> None:
    base = load_base(folder)
    net = ControlNet.from_base(base, hint="unshuffle")
    for parameter in net.zeros.parameters():
        torch.nn.init.constant_(parameter, 0.01)
    found = values(sampling.measure(1, steps=2, base=base, net=net))
    assert found["with control / without, in floating-point operations"] > 1.1
    assert all(value > 0 for value in found.values())


@pytest.mark.slow
def test_a_training_step_of_each_kind_learns_and_is_weighed(folder: Path) -> None:
    found = values(training_step.measure(1, str(folder), batch=2))
    assert 0.5 < found["floating-point operations, ControlNet / base"] < 1.5
    for kind in training_step.KINDS:
        trial = training_step.Trial(kind, str(folder), batch=2)
        learns = {"base": kind == "finetune", "net": kind != "finetune"}
        networks = {"base": trial.base.network, "net": trial.net}
        parts = {name: list(each.parameters()) for name, each in networks.items() if each is not None}
        before = {name: [p.detach().clone() for p in part] for name, part in parts.items()}
        trial.step()()
        moved = {name: not all(map(torch.equal, before[name], part)) for name, part in parts.items()}
        assert moved == {name: learns[name] for name in parts}


def test_the_middle_alone_saves_a_hundredth_of_the_operations() -> None:
    counted = training_step.counted_sd15(64)
    assert 1 < counted["control"] / counted["middle"] < 1.05
    assert 0.8 < counted["control"] / counted["finetune"] < 1


def test_peak_memory_is_that_of_the_tensors() -> None:
    def step() -> None:
        first = torch.zeros(1_000_000)
        second = first + 1
        del first, second

    assert 8_000_000 <= training_step.peak(step) < 8_100_000


@pytest.mark.slow
def test_the_trainer_is_compared_with_the_reference_loop(tmp_path: Path) -> None:
    small = {"block_out_channels": (8, 8, 16, 16), "norm_num_groups": 4}
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    base = bases.write_base(
        tmp_path / "base",
        {"sample_size": 4, "cross_attention_dim": 16, "attention_head_dim": 2, **small},
        {**bases.VAE, **small, "layers_per_block": 1},
        {**bases.TEXT, **text},
    )
    taken = trainers.compare(tmp_path, base, 1, 32, 2, 1)
    assert {kind: len(turns[0]["seconds"]) for kind, turns in taken.items()} == {"trainer": 1, "reference": 1}
    figures = trainers.figures(taken, 1.3, 0.85)
    assert all(figure.value > 0 for figure in figures)
    assert sum(figure.holds is not None for figure in figures) == 3


def test_the_share_of_waiting_is_that_of_a_run(folder: Path) -> None:
    found = values(feeding.measure(1, steps=4, base=str(folder), side=32))
    assert all(0 <= found[f"waiting, cache: {cache}"] <= 100 for cache in ("memory", "none"))


@pytest.mark.slow
def test_a_cold_process_loads_the_base(folder: Path) -> None:
    found = loading.once(str(folder))
    assert 0 < found["warm"] < found["cold"]
    assert loading.help_page() > 0


@pytest.mark.slow
def test_a_controlnet_s_file_is_loaded_in_a_process_of_its_own(tmp_path: Path) -> None:
    config = {"block_out_channels": [32, 32], "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"]}
    size = checkpoints.write(tmp_path, config)
    assert size > 100_000
    assert checkpoints.once("ours", tmp_path).keys() == {"seconds", "processor", "bytes"}


def test_loading_is_compared_turn_by_turn() -> None:
    def run(seconds: float, peak: float) -> dict[str, float]:
        return {"seconds": seconds, "processor": seconds, "bytes": peak}

    turns = [
        {"safetensors": run(k, 10), "ours": run(1.1 * k, 11), "diffusers": run(2.2 * k, 25)}
        | {"safetensors from the disk": run(2 * k, 10), "ours from the disk": run(2.1 * k, 11)}
        for k in (1, 5)
    ]
    report = Report("checkpoints", "", checkpoints.figures(turns, 10))
    found = values(report)
    assert found["ours / safetensors, time"] == pytest.approx(1.1)
    assert found["the same from the disk"] == pytest.approx(1.05)
    assert found["ours / diffusers, time"] == pytest.approx(0.5)
    assert found["ours: peak memory / file"] == pytest.approx(1.1)
    assert all(figure.holds is not False for figure in report.figures)


def test_conditions_are_compared_with_the_true_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    def truth(spec: str) -> object:
        return lambda picture: next(
            view.control(spec.removeprefix("shapes_")) for view in views if view.image is picture
        )

    views: list[View] = []
    render = shapes_conditions.render
    monkeypatch.setattr(shapes_conditions, "render", lambda *at: views.append(render(*at)) or views[-1])
    monkeypatch.setattr(shapes_conditions, "condition", truth)
    found = values(shapes_conditions.measure(3))
    assert [round(value, 3) for value in found.values()] == [0, pytest.approx(0, abs=0.1), 1, 1, 1, 1]


def test_in_turns_leaves_out_the_warm_up_and_keeps_the_order() -> None:
    done: list[str] = []
    ticks = iter(range(100))
    taken = in_turns(
        {"a": lambda: done.append("a"), "b": lambda: done.append("b")}, 2, clock=lambda: next(ticks)
    )
    assert "".join(done) == "ababab"
    assert taken == {"a": [1, 1], "b": [1, 1]}


def test_a_ratio_is_taken_turn_by_turn() -> None:
    assert ratio([2.0, 30.0, 4.0], [1.0, 10.0, 2.0]) == 2.0


@pytest.mark.parametrize(
    ("expected", "holds", "told"),
    [
        (None, None, ""),
        ((None, 2.0), False, "at most 2"),
        ((2.0, None), True, "at least 2"),
        (about(2.0), False, "1.6 … 2.4"),
        (about(2.5), True, "2 … 3"),
    ],
)
def test_a_figure_stands_beside_its_expectation(expected, holds, told) -> None:
    figure = Figure("thing", 2.5, "s", expected)
    assert figure.holds is holds
    assert figure.cells() == ("thing", "2.5 s", told, {None: "", True: "yes", False: "NO"}[holds])


def test_results_are_written_beside_those_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "# B\n\n<!-- results -->\nprevious\n<!-- end of results -->\n\ntail\n"
    )
    for name, value in (("sampling", 1.0), ("loading", 2.0), ("sampling", 3.0)):
        report = Report(name, f"What is {name}?", [Figure("it", value, "s", (None, 2.5), "contract")])
        runner.write({"machine": {"cores": "2"}, "reports": [report.values()]}, tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [(each["name"], each["figures"][0]["value"]) for each in kept["reports"]] == [
        ("loading", 2.0),
        ("sampling", 3.0),
    ]
    text = (tmp_path / "README.md").read_text()
    assert "previous" not in text and text.endswith("<!-- end of results -->\n\ntail\n")
    assert "On cores 2:" in text
    assert "| it | 3 s      | at most 2.5 (contract) | NO    |" in text
    assert text.index("What is loading?") < text.index("What is sampling?")


def test_the_readme_shows_the_results_that_are_kept() -> None:
    path = runner.HOME / "results.json"
    if not path.is_file():
        pytest.skip("no results are kept yet: `make bench` writes them")
    text = (runner.HOME / "README.md").read_text(encoding="utf-8")
    assert runner.with_results(text, json.loads(path.read_text(encoding="utf-8"))) == text


def test_every_file_is_told_of_in_the_readme() -> None:
    text = (runner.HOME / "README.md").read_text(encoding="utf-8")
    helpers = {"__init__.py", "__main__.py"}
    assert all(f"({path.name})" in text for path in runner.HOME.glob("*.py") if path.name not in helpers)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        runner.main(["smapling"])
    assert "there is no measurement smapling" in capsys.readouterr().err


def test_the_machine_is_told_by_kind() -> None:
    told = machine()
    assert told["cores"].isdigit() and told["torch"] == torch.__version__

"""`controlnet weights`: the files that conditions need, fetched and converted."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from controlnet import registry
from controlnet.cli.app import main
from controlnet.conditions._weights import Weights
from controlnet.errors import MissingWeights

NET = Weights("owner/Annotators", "Net.pth", 29.4, "research [only]", sha256="0" * 64)
MODEL = Weights("owner/depth-small", None, 99, "MIT")


@pytest.fixture(autouse=True)
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let one condition need two weights; return the folder where they are looked for."""
    monkeypatch.setattr(registry.find("conditions", "canny"), "weights", (NET, MODEL))
    monkeypatch.setattr(registry, "names", lambda family: ("canny",) if family == "conditions" else ())
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


@pytest.fixture
def fetched(own: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for the hub; return the names of what was fetched."""
    names: list[str] = []

    def fetch(weights: Weights) -> Path:
        names.append(weights.name)
        (own / weights.name).touch()
        return own / weights.name

    monkeypatch.setattr(Weights, "fetch", fetch)
    return names


def test_list_names_size_licence_use_and_place(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "Net.pth").touch()
    assert main(["weights", "list"]) == 0
    said = capsys.readouterr().out
    net = next(line for line in said.splitlines() if "Net.pth" in line)
    model = next(line for line in said.splitlines() if "depth-small" in line)
    assert all(part in net for part in ("29.4", "research [only]", "canny")) and net.rstrip().endswith("yes")
    assert model.rstrip().endswith("no")


def test_list_as_json(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "depth-small").mkdir()
    assert main(["weights", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["Net.pth"] == {
        "repo": "owner/Annotators", "file": "Net.pth", "megabytes": 29.4, "licence": "research [only]",
        "sha256": "0" * 64, "conditions": ["canny"], "path": None,
    }  # fmt: skip
    assert told["depth-small"]["path"] == str(own / "depth-small")


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["Net.pth"], ["Net.pth"]),
        (["Net"], ["Net.pth"]),
        (["owner/depth-small"], ["depth-small"]),
        (["canny"], ["Net.pth", "depth-small"]),
        (["depth-small", "canny(low=3)", "Net"], ["depth-small", "Net.pth"]),
    ],
)
def test_fetch_by_any_name(
    names: list[str], wanted: list[str], fetched: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "fetch", *names]) == 0
    assert fetched == wanted
    said = capsys.readouterr().out
    if "Net.pth" in wanted:
        assert "Net.pth: 29.4 MB, licence: research [only], from owner/Annotators/Net.pth" in said
        assert "(checksum right)" in said


def test_what_is_here_is_not_fetched_again(
    own: Path, fetched: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "Net.pth").touch()
    assert main(["weights", "fetch", "Net"]) == 0
    assert not fetched and "is here, at" in capsys.readouterr().out
    assert main(["weights", "fetch", "Net", "--again"]) == 0
    assert fetched == ["Net.pth"]


@pytest.mark.parametrize(
    ("name", "said"), [("Nett", "did you mean Net.pth"), ("a b", "no weight file"), ("x:Y", "no weight file")]
)
def test_unknown_names(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "fetch", name]) == 2
    assert said in capsys.readouterr().err


def test_a_condition_without_weights(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry.find("conditions", "canny"), "weights", ())
    assert main(["weights", "fetch", "canny"]) == 2
    assert "canny needs no weights" in capsys.readouterr().err


def test_without_a_connection_the_mend_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(weights: Weights) -> Path:
        raise MissingWeights("cannot fetch it")

    monkeypatch.setattr(Weights, "fetch", fail)
    assert main(["weights", "fetch", "Net"]) == 2
    assert capsys.readouterr().err == "controlnet: cannot fetch it\n"


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3).T, "n": torch.tensor(3)}


def test_convert_a_file(tmp_path: Path) -> None:
    shared = torch.ones(4)
    torch.save({"state_dict": {**STATE, "b": shared, "c": shared}}, "x.pth")
    assert main(["weights", "convert", "x.pth"]) == 0
    found = load_file("x.safetensors")
    assert found.keys() == {"a.weight", "n", "b", "c"}
    assert torch.equal(found["a.weight"], STATE["a.weight"]) and torch.equal(found["b"], shared)
    assert main(["weights", "convert", "x.pth", "--out", "new/y.safetensors"]) == 0
    assert Path("new/y.safetensors").read_bytes() == Path("x.safetensors").read_bytes()


def test_convert_a_listed_file_among_the_users_own(own: Path) -> None:
    torch.save(STATE, own / "Net.pth")
    assert main(["weights", "convert", "Net"]) == 0
    assert NET.find() == own / "Net.safetensors"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.safetensors"], "safetensors already"),
        (["text.pth"], "text.pth"),
        (["none.pth"], "there is no file none.pth"),
        (["x.onnx"], "x.onnx is a whole network in ONNX's format"),
        (["Net"], "Net.pth"),
        (["depth-small"], "or a folder"),
        (["text.pth", "--out", "y.bin"], "another suffix"),
    ],
)
def test_mistakes_in_converting(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.safetensors").touch()
    Path("text.pth").write_text("text")
    Path("x.onnx").touch()
    assert main(["weights", "convert", *arguments]) == 2
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1
    assert not list(Path().glob("*y.*"))

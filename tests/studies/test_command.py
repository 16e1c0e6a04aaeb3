"""`controlnet study`: listed, computed, reported, written."""

from pathlib import Path

import pytest

from controlnet.cli.app import main
from tests.studies.conftest import MakeStudy


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("identity", "sudden", "zero", "transfer"))


def test_compute_report_and_write(
    make_study: MakeStudy,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_study({"full": [], "lite": ["control.copy=lite"]})
    file, out = str(tmp_path / "lite.yaml"), str(tmp_path / "out")
    assert main(["study", file, "--out", out, "--report"]) == 0
    assert "Nothing was computed yet." in capsys.readouterr().out
    assert main(["study", file, "--out", out, "--seeds", "3", "--device", "cpu"]) == 0
    assert "| lite | 1 |" in capsys.readouterr().out
    document = tmp_path / "evidence.md"
    assert main(["study", file, "--out", out, "--seeds", "3,4", "--report", "--write", str(document)]) == 0
    assert "| lite | 1 of 2 |" in document.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "got no study"),
        (["lites"], "has no plan 'studies/lites'"),
        (["lite", "--seeds", "a"], "got the seeds 'a'"),
        (["lite", "--seeds", "1,1"], "got the seeds '1,1'"),
        (["transfer", "--base", "x"], "NAME=FOLDER"),
        (["lite", "--set", "optim.lrr=1", "--report"], "did you mean optim.lr"),
    ],
)
def test_mistakes(options: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["study", *options, "--out", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err

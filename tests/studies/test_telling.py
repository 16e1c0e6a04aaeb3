"""Tables, curves and documents."""

import json
from pathlib import Path
from typing import Any

import pytest

from controlnet.errors import SettingError
from controlnet.studies.document import tell, write_into
from controlnet.studies.outcome import ArmOutcome, Outcome, Values
from controlnet.studies.picture import picture
from controlnet.studies.places import Places
from controlnet.studies.study import Study
from controlnet.studies.table import reached, table
from controlnet.studies.table import told as cell

UP = {"edge_f1": True, "fid": False, "normal_angle": False}


def arm(name: str, **others: Any) -> ArmOutcome:
    values: dict[str, Any] = {
        "trains": True,
        "adherence": "edge_f1",
        "seeds": [0, 1],
        "steps": 10,
        "measured": {"end": {("perfect", "edge_f1"): [0.4, 0.6], ("perfect", "fid"): [3.0, 5.0]}},
        "beside": {
            "prompt only": {("perfect", "edge_f1"): [0.1], ("perfect", "fid"): [2.0]},
            "ceiling": {("any", "edge_f1"): [0.9], ("any", "fid"): [1.0]},
        },
        "higher": UP,
        "curves": {"gain": [[(5, 0.0), (10, 0.5)], [(5, 0.1), (10, 0.7)]]},
        "rose": [2, 2],
        "arrived": [4, 6],
    }
    return ArmOutcome(name, **{**values, **others})


def outcome(*arms: ArmOutcome, wanted: int = 2) -> Outcome:
    study = Study(name="s", title="Of s", claim="So.", plan="p.yaml", arms={each.name: {} for each in arms})  # pyright: ignore
    return Outcome(study, arms, wanted, [])


def test_what_stands_beside_has_rows_where_it_is_the_same_for_all() -> None:
    assert table(outcome(arm("one"), arm("other"), wanted=3)).splitlines() == [
        "|  | seeds | gain from step | arrival | edge_f1 ↑ | closed | fid ↓ |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| prompt only |  |  |  | 0.100 |  | 2.000 |",
        "| one | 2 of 3 | 2 ± 0 | 5 ± 1 | 0.500 ± 0.141 | 50% | 4.000 ± 1.414 |",
        "| other | 2 of 3 | 2 ± 0 | 5 ± 1 | 0.500 ± 0.141 | 50% | 4.000 ± 1.414 |",
        "| ceiling |  |  |  | 0.900 |  | 1.000 |",
    ]


def test_it_has_columns_where_it_differs() -> None:
    """As where each arm has a condition of its own, and so a metric."""
    normal = arm(
        "normal",
        adherence="normal_angle",
        measured={"end": {("perfect", "normal_angle"): [30.0]}},
        beside={
            "prompt only": {("perfect", "normal_angle"): [50.0]},
            "ceiling": {("any", "normal_angle"): [10.0]},
        },
    )
    lines = table(outcome(arm("canny"), normal)).splitlines()
    told = ["metric", "prompt only", "with control", "ceiling", "closed", "fid ↓"]
    assert lines[0] == f"|  | seeds | gain from step | arrival | {' | '.join(told)} |"
    assert lines[3] == "| normal | 2 | 2 ± 0 | 5 ± 1 | normal_angle ↓ | 50.00 | 30.00 | 10.00 | 50% | – |"


def test_several_prompts_are_columns_and_what_nobody_tells_is_left_out() -> None:
    measured = {"end": {("none", "edge_f1"): [0.2], ("perfect", "edge_f1"): [0.3]}}
    lines = table(outcome(arm("a", measured=measured, trains=False))).splitlines()
    assert lines[0] == "|  | seeds | edge_f1 ↑, no prompt | edge_f1 ↑, perfect |"
    assert lines[3] == "| a | 2 | 0.200 | 0.300 |"


def test_an_arm_with_more_seeds_stands_beside_the_same() -> None:
    beside = arm("a").beside
    noisier = {subject: {key: [*each, 0.5] for key, each in told.items()} for subject, told in beside.items()}
    lines = table(outcome(arm("one", seeds=[0, 1], beside=noisier), arm("other", seeds=[0]))).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| prompt only", "| one", "| other", "| ceiling"]
    assert "0.300 ± 0.283" in lines[2]


def test_of_runs_alone_it_tells_what_they_recorded_last() -> None:
    text = table(outcome(arm("a", measured={}, beside={})))
    assert "| a | 2 | 2 ± 0 | 5 ± 1 | 0.600 ± 0.141 |" in text


def test_nothing_yet() -> None:
    assert table(outcome(arm("a", seeds=[]))) == "Nothing was computed yet.\n"


@pytest.mark.parametrize(
    ("steps", "diverged", "said"),
    [
        ([40, 60], [], "50 ± 14"),
        ([40, None], [], "40 (1 of 2)"),
        ([None, None], [], "not"),
        ([40], ["x"], "40; 1 diverged"),
        ([], ["x", "y"], "diverged (2)"),
    ],
)
def test_reached(steps: list[int | None], diverged: list[str], said: str) -> None:
    assert reached(arm("a", diverged=diverged), steps) == said


def test_a_nought_is_told_as_exact_only_where_it_is() -> None:
    assert (cell(Values([0.0, 0.0])), cell(Values([0.0001]))) == ("0", "0.000")


def test_the_document_keeps_what_others_wrote(tmp_path: Path) -> None:
    document = tmp_path / "evidence.md"
    document.write_text("# Evidence\n\nOurs.\n")
    write_into(document, outcome(arm("a"), wanted=3), "controlnet study s")
    first = document.read_text()
    assert first.startswith(
        "# Evidence\n\nOurs.\n\n## Of s\n\nSo.\n\n<!-- study s -->\n\n`controlnet study s`\n\n|"
    )
    assert (tmp_path / "pictures/study_s.png").is_file() and "](pictures/study_s.png)" in first
    document.write_text(f"{first}\nWhat it means, \\1 by hand.\n")
    write_into(document, outcome(arm("a"), wanted=2), "controlnet study s")
    second = document.read_text()
    assert second == first.replace("2 of 3", "2") + "\nWhat it means, \\1 by hand.\n"


def test_one_mark_alone_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "evidence.md"
    document.write_text("<!-- study s -->\n")
    with pytest.raises(SettingError, match="one of the two marks"):
        write_into(document, outcome(arm("a")), "controlnet study s")


def test_what_is_told_lies_in_the_studys_folder(tmp_path: Path) -> None:
    tell(outcome(arm("a")), Places(tmp_path))
    record = json.loads((tmp_path / "s/results.json").read_text())
    assert record["arms"][0]["measured"]["end"]["perfect"]["edge_f1"] == [0.4, 0.6]
    assert {path.name for path in (tmp_path / "s").iterdir()} == {"results.json", "table.md", "curves.png"}


def test_curves() -> None:
    drawn = picture(outcome(arm("a"), arm("b", curves={})))
    assert drawn is not None and drawn.width == 1920
    assert picture(outcome(arm("a", curves={}))) is None

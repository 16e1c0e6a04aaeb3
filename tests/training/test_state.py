"""States on disk: whole or not at all, the newest whole one found, old ones removed."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from controlnet.errors import CheckpointError
from controlnet.training import state


def write(place: Path) -> dict[str, Any]:
    (place / "a.bin").write_bytes(b"12345")
    return {"seconds": 1.5}


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_the_newest_is_found_and_only_as_many_as_wanted_are_kept(tmp_path: Path) -> None:
    assert state.newest(tmp_path) is None
    for step in (2, 4, 10, 100):
        state.commit(tmp_path, step, write, keep=2)
    assert names(tmp_path) == ["step-000010", "step-000100"]
    newest = state.newest(tmp_path)
    assert newest is not None and newest.name == "step-000100"
    assert state.read(newest) == {"step": 100, "files": {"a.bin": 5}, "seconds": 1.5}


def test_steps_beyond_six_digits_are_ordered_by_number(tmp_path: Path) -> None:
    for step in (999_999, 1_000_000):
        state.commit(tmp_path, step, write, keep=2)
    newest = state.newest(tmp_path)
    assert newest is not None and newest.name == "step-1000000"


@pytest.mark.parametrize(
    "tear",
    [
        lambda place: (place / "a.bin").write_bytes(b"123"),
        lambda place: (place / "a.bin").unlink(),
        lambda place: (place / "state.json").unlink(),
        lambda place: (place / "state.json").write_text('{"step": 4, "fi'),
        lambda place: (place / "state.json").write_text("{}"),
    ],
    ids=["cut short", "file gone", "no state.json", "half a state.json", "empty state.json"],
)
def test_a_torn_state_is_passed_over_and_reported(
    tmp_path: Path, tear: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (2, 4):
        state.commit(tmp_path, step, write, keep=2)
    tear(tmp_path / "step-000004")
    with caplog.at_level(logging.WARNING):
        newest = state.newest(tmp_path)
    assert newest is not None and newest.name == "step-000002"
    assert "step-000004 is passed over" in caplog.text


def test_leftovers_are_never_read_and_swept_away(tmp_path: Path) -> None:
    state.commit(tmp_path, 2, write, keep=2)
    for name in ("step-000004.part", "step-000001.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.json").write_text(json.dumps({"step": 9, "files": {}}))
    newest = state.newest(tmp_path)
    assert newest is not None and newest.name == "step-000002"
    state.commit(tmp_path, 6, write, keep=3)
    state.sweep(tmp_path, after=2)
    assert names(tmp_path) == ["step-000002"]


def test_a_failing_write_leaves_the_states_as_they_were(tmp_path: Path) -> None:
    state.commit(tmp_path, 2, write, keep=1)

    def fail(place: Path) -> dict[str, Any]:
        write(place)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        state.commit(tmp_path, 4, fail, keep=1)
    newest = state.newest(tmp_path)
    assert newest is not None and newest.name == "step-000002"
    state.commit(tmp_path, 4, write, keep=1)  # the leftover does not hinder the next one
    assert names(tmp_path) == ["step-000004"]


def test_everything_is_on_the_disk_before_the_state_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    rename = Path.rename
    monkeypatch.setattr(state, "_to_disk", lambda path: order.append(path.name))
    monkeypatch.setattr(Path, "rename", lambda self, to: order.append("rename") or rename(self, to))
    state.commit(tmp_path, 2, write, keep=2)
    assert sorted(order[:2]) == ["a.bin", "state.json"]
    assert order[2:] == ["step-000002.part", "rename", tmp_path.name]


def test_to_disk_waits_for_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: waited.append(os.fstat(handle).st_ino))
    write(tmp_path)
    state._to_disk(tmp_path / "a.bin")
    state._to_disk(tmp_path)
    assert waited == [path.stat().st_ino for path in (tmp_path / "a.bin", tmp_path)]


def test_the_same_step_can_be_saved_again(tmp_path: Path) -> None:
    for content in (b"old", b"anew"):
        state.commit(tmp_path, 2, lambda place, c=content: (place / "b").write_bytes(c) and {}, keep=2)
    assert (tmp_path / "step-000002" / "b").read_bytes() == b"anew"


def trained(steps: int) -> tuple[torch.nn.Module, torch.optim.AdamW]:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(
        [{"params": part.parameters(), "name": i} for i, part in enumerate(net)], lr=0.1
    )
    for step in range(steps):
        net(torch.full((1, 3), step + 1.0)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return net, optimizer


NAMES = ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_an_optimizer_comes_back_bit_for_bit(tmp_path: Path) -> None:
    _, optimizer = trained(3)
    state.save_optimizer(state.moments_of(optimizer, NAMES), tmp_path / "o.safetensors")
    _, other = trained(0)
    state.load_optimizer(other, tmp_path / "o.safetensors", NAMES)
    before, after = optimizer.state_dict()["state"], other.state_dict()["state"]
    assert before.keys() == after.keys() and len(before) == 4
    for index, moments in before.items():
        assert moments.keys() == after[index].keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(value, after[index][name]) for name, value in moments.items())


def test_moments_of_other_parameters_are_refused(tmp_path: Path) -> None:
    _, optimizer = trained(1)
    state.save_optimizer(state.moments_of(optimizer, NAMES), tmp_path / "o.safetensors")
    other = torch.optim.AdamW(torch.nn.Linear(5, 5).parameters())
    for names in (["0.weight", "0.bias"], ["a", "b"]):
        with pytest.raises(CheckpointError, match="resume with the plan"):
            state.load_optimizer(other, tmp_path / "o.safetensors", names)


def test_moments_go_by_name_so_that_a_phase_may_put_parameters_before_others(tmp_path: Path) -> None:
    net, optimizer = trained(2)
    state.save_optimizer(state.moments_of(optimizer, NAMES), tmp_path / "o.safetensors")
    new = torch.nn.Parameter(torch.zeros(7))
    other = torch.optim.AdamW([new, *net.parameters()])
    state.load_optimizer(other, tmp_path / "o.safetensors", ["new", *NAMES])
    moments = optimizer.state_dict()["state"], other.state_dict()["state"]
    assert sorted(moments[1]) == [1, 2, 3, 4]  # the new one has none yet
    assert all(torch.equal(moments[0][i]["exp_avg"], moments[1][i + 1]["exp_avg"]) for i in range(4))

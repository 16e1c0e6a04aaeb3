"""States of a run on disk: written whole or not at all, the newest whole one found again.

    state/step-000200/   controlnet.safetensors  the weights in training, a checkpoint like any other
                         ema.safetensors         their running mean, where the plan has one
                         optimizer.safetensors   the optimizer's moments, "moment/name of the parameter"
                         decoder.safetensors     the base's decoder and its running mean, where a phase has
                         ema_decoder.safetensors unlocked it
                         state.json              the step, the phase that goes on from it, and the size of
                                                 every other file

A state is written beside its place, brought to the disk and then renamed, so a power cut or SIGKILL at
any moment leaves either the state or a leftover that is never read and is removed at the next start. The
random numbers need no state (rng.py), and neither do data order and learning rate: they follow from the
step.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from controlnet.errors import CheckpointError
from controlnet.training.sharding import part_of

log = logging.getLogger(__name__)

_PART, _OLD = ".part", ".old"
_AS_THE_PARAMETER = ("exp_avg", "exp_avg_sq", "state1", "state2")  # moments of a parameter's own shape


def commit(root: Path, step: int, write: Callable[[Path], Mapping[str, Any]], keep: int) -> Path:
    """Write a state atomically, remove all but the newest `keep`, and return its folder.

    `write` puts its files into the folder that it is given and returns what else state.json is to hold.
    """
    root.mkdir(parents=True, exist_ok=True)
    place = root / f"step-{step:06d}"
    beside = place.with_suffix(_PART)
    _remove(beside)
    beside.mkdir()
    extra = write(beside)
    sizes = {file.name: file.stat().st_size for file in sorted(beside.iterdir())}
    (beside / "state.json").write_text(json.dumps({"step": step, "files": sizes, **extra}, indent=1))
    for file in beside.iterdir():
        _to_disk(file)
    _to_disk(beside)
    _discard(place)  # the same step saved before, by a run that was then resumed from an older state
    beside.rename(place)
    _to_disk(root)
    for old in _states(root)[:-keep]:
        _discard(old)
    return place


def newest(root: Path) -> Path | None:
    """Return the folder of the newest whole state, or None; torn ones are passed over and reported."""
    for place in reversed(_states(root)):
        fault = _fault(place)
        if fault is None:
            return place
        log.warning("state %s is passed over: %s", place, fault)
    return None


def sweep(root: Path, after: int) -> None:
    """Remove what a killed run left half-written, and states beyond step `after`, which were passed over."""
    if root.is_dir():
        for leftover in [*root.glob(f"*{_PART}"), *root.glob(f"*{_OLD}")]:
            _remove(leftover)
        for place in _states(root):
            if _step(place) > after:
                _discard(place)


def read(place: Path) -> dict[str, Any]:
    """Return what state.json of a whole state holds."""
    return json.loads((place / "state.json").read_text())


def moments_of(optimizer: torch.optim.Optimizer, names: Sequence[str]) -> dict[str, Tensor]:
    """Return what an optimizer remembers; hyperparameters come from the plan, not from a state.

    names: of the parameters, in the optimizer's order.
    """
    return {
        f"{moment}/{name}": torch.as_tensor(value)
        for name, parameter in zip(names, _parameters(optimizer), strict=True)
        for moment, value in optimizer.state.get(parameter, {}).items()
    }


def save_optimizer(moments: Mapping[str, Tensor], path: Path) -> None:
    """Write whole moments as safetensors."""
    written: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, value in moments.items():
        kept = value.detach().cpu().contiguous()
        # Moments of eight bits share one table, and safetensors takes no tensor twice.
        written[name] = kept.clone() if kept.data_ptr() in places else kept
        places.add(kept.data_ptr())
    save_file(written, path)


def load_optimizer(optimizer: torch.optim.Optimizer, path: Path, names: Sequence[str]) -> None:
    """Read the moments back; parameters that a phase has added have none, and start as at a run's beginning.

    names: of the parameters, in the optimizer's order. Raises CheckpointError where the moments do not belong
    to these parameters.
    """
    state: dict[int, dict[str, Tensor]] = {}
    place = {name: index for index, name in enumerate(names)}
    parameters = _parameters(optimizer)
    for key, value in load_file(path).items():
        moment, _, name = key.partition("/")
        full = moment in _AS_THE_PARAMETER
        # States of earlier releases have the parameter's number.
        index = int(name) if name.isdecimal() else place.get(name, len(parameters))
        if index >= len(parameters) or (full and parameters[index].shape != value.shape):
            raise CheckpointError(
                f"{path} has moments of shape {tuple(value.shape)} for the parameter {name}, which is not so "
                "here; resume with the plan that the run was started with"
            )
        # Out of the file, to memory that is aligned.
        state.setdefault(index, {})[moment] = part_of(value, parameters[index]) if full else value.clone()
    if isinstance(optimizer, torch.optim.AdamW):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        return
    for index, entries in state.items():  # eight bits: torch's own way would make floats of them
        device = parameters[index].device
        optimizer.state[parameters[index]] = {
            name: int(value) if name == "step" else value.to(device) for name, value in entries.items()
        }


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _states(root: Path) -> list[Path]:
    """All folders that carry a state's name, the oldest first."""
    found = [place for place in root.glob("step-*") if place.is_dir() and place.name[5:].isdigit()]
    return sorted(found, key=_step)


def _step(place: Path) -> int:
    return int(place.name[5:])


def _fault(place: Path) -> str | None:
    try:
        files = read(place)["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"its state.json cannot be read ({error})"
    for name, size in files.items():
        file = place / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes and not {size}"
    return None


def _discard(place: Path) -> None:
    """Remove a state: first its name, at one stroke, then its files."""
    if place.exists():
        old = place.with_suffix(_OLD)
        _remove(old)
        place.rename(old)
        _remove(old)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

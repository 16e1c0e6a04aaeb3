"""One small, resumable training loop for the networks of the embedded world.

All randomness of a step comes from a generator seeded by (seed, step), so a stopped run that goes on makes
the same weights as one that was never stopped.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

Loss = Callable[[torch.Generator], dict[str, Tensor]]
_Module = TypeVar("_Module", bound=nn.Module)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: steps, peak learning rate, warm-up steps, decay of the averaged weights."""

    steps: int
    lr: float
    warmup: int = 100
    ema: float = 0.999
    weight_decay: float = 0.01
    floor: float = 0.02  # share of the peak at which the cosine ends
    save_every: int = 100
    seed: int = 0
    restarts: tuple[int, ...] = ()  # steps at which warm-up and cosine begin anew (arXiv 1608.03983)

    def rate(self, step: int) -> float:
        """Give the learning rate of a step: linear warm-up, then a cosine down to the floor."""
        begin = max((at for at in self.restarts if at <= step), default=0)
        end = min((at for at in self.restarts if at > step), default=self.steps)
        if step - begin < self.warmup:
            return self.lr * (step - begin + 1) / self.warmup
        progress = (step - begin - self.warmup) / max(1, end - begin - self.warmup)
        return self.lr * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2)


def channels_last(module: _Module) -> _Module:
    """Lay out a network's convolutions with the channels innermost, which is faster on a CPU."""
    return nn.Module.to(module, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def fit(module: nn.Module, loss: Loss, schedule: Schedule, folder: Path) -> Iterator[dict[str, float]]:
    """Train `module` on `loss`, giving the log of each step; at the end it holds the averaged weights.

    `loss` returns named terms, the one called "loss" being minimised. State and log.jsonl live in `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=schedule.lr, betas=(0.9, 0.98), weight_decay=schedule.weight_decay, fused=True
    )
    average = {name: value.detach().clone() for name, value in module.state_dict().items()}
    start = _resume(folder, module, optimizer, average)
    log, began = folder / "log.jsonl", time.monotonic()
    _keep_lines(log, start)
    module.train()
    for step in range(start, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate(step)
        generator = torch.Generator().manual_seed(schedule.seed * 1_000_003 + step)
        terms = loss(generator)
        optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        norm = nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        _follow(average, module, min(schedule.ema, (1 + step) / (10 + step)))
        record = {"step": step + 1, "grad_norm": norm.item(), **{k: v.item() for k, v in terms.items()}}
        with log.open("a") as file:
            file.write(json.dumps(record) + "\n")
        if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
            _save(folder, step + 1, module, optimizer, average)
        yield record | {"rate": (step + 1 - start) / (time.monotonic() - began)}
    module.load_state_dict(average)
    module.eval()


def _follow(average: dict[str, Tensor], module: nn.Module, decay: float) -> None:
    pairs = [
        (average[name], value) for name, value in module.state_dict().items() if value.is_floating_point()
    ]
    torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage] # a loop of lerp_ takes as long as a step
        [a for a, _ in pairs], [v.detach() for _, v in pairs], 1 - decay
    )


def _save(
    folder: Path, step: int, module: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]
) -> None:
    state = {
        "step": step,
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "average": average,
    }
    beside = folder / "state.part"
    torch.save(state, beside)
    os.replace(beside, folder / "state.pt")


def _resume(
    folder: Path, module: nn.Module, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]
) -> int:
    path = folder / "state.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    optimizer.load_state_dict(state["optimizer"])
    average.update(state["average"])
    return int(state["step"])


def _keep_lines(log: Path, count: int) -> None:
    """Drop what was logged after the state that a run goes on from."""
    if log.exists():
        log.write_text("".join(line + "\n" for line in log.read_text().splitlines()[:count]))

"""What the measurements share: timing in turns, figures beside what was expected of them, tables."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Action = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """One number, with the range in which it was expected before it was measured.

    expected: (least, most) in the figure's unit, either None; None altogether where nothing was expected.
    source: who expects it: a contract, the paper, a prediction.
    """

    what: str
    value: float
    unit: str
    expected: tuple[float | None, float | None] | None = None
    source: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the number came out as expected; None where nothing was."""
        if self.expected is None:
            return None
        least, most = self.expected
        return (least is None or self.value >= least) and (most is None or self.value <= most)

    def cells(self) -> tuple[str, str, str, str]:
        """Return what, number, expectation and verdict, as texts."""
        verdict = {None: "", True: "yes", False: "NO"}[self.holds]
        return self.what, f"{self.value:.3g} {self.unit}".strip(), self._expectation(), verdict

    def _expectation(self) -> str:
        if self.expected is None:
            return ""
        least, most = self.expected
        if most is None:
            span = f"at least {least:g}"
        elif least is None:
            span = f"at most {most:g}"
        else:
            span = f"{least:.3g} … {most:.3g}"
        return f"{span} ({self.source})" if self.source else span


@dataclass(frozen=True)
class Report:
    """The answer to one question, and the command that asks it again."""

    name: str
    question: str
    figures: Sequence[Figure]

    def values(self) -> dict[str, Any]:
        """Return what goes into results.json."""
        figures = [asdict(figure) | {"holds": figure.holds} for figure in self.figures]
        return {"name": self.name, "question": self.question, "figures": figures}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Report":
        """Read back what `values` gave."""
        figures = [
            Figure(
                each["what"],
                each["value"],
                each["unit"],
                None if each["expected"] is None else tuple(each["expected"]),
                each["source"],
            )
            for each in values["figures"]
        ]
        return cls(values["name"], values["question"], figures)

    def table(self) -> str:
        """Write the answer as a table that reads well in a terminal and in Markdown alike."""
        head = ("", "measured", "expected", "holds")
        return f"{self.question}\n`python -m benchmarks {self.name}`\n\n" + _aligned(
            [head, *(figure.cells() for figure in self.figures)]
        )


def in_turns(
    actions: Mapping[str, Action],
    repeats: int,
    warm_up: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time each action `repeats` times in seconds, in turns: so other work on the machine hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(warm_up + repeats):
        for name, action in actions.items():
            began = clock()
            action()
            if turn >= warm_up:
                taken[name].append(clock() - began)
    return taken


def median(values: Iterable[float]) -> float:
    """Return the median: a single disturbed run does not move it."""
    return statistics.median(values)


def ratio(upper: Sequence[float], lower: Sequence[float]) -> float:
    """Return the median of the ratios turn by turn, which is steadier than the ratio of the medians."""
    return median(a / b for a, b in zip(upper, lower, strict=True))


def operations(action: Action) -> int:
    """Count the floating-point operations of matrix products and convolutions, attention's own left out."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops()


def about(expected: float, share: float = 0.2) -> tuple[float, float]:
    """Return the range around a computed expectation, give or take a share of it."""
    return expected * (1 - share), expected * (1 + share)


def machine() -> dict[str, str]:
    """Describe what the measurements ran on, by kind and not by name."""
    import torch

    from controlnet.training.result import versions

    found = versions()
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "system": found["machine"],
        **{name: found[name] for name in ("python", "torch", "diffusers", "transformers")},
    }


def described(parts: Mapping[str, str]) -> str:
    """Write a machine's description as one line."""
    return ", ".join(f"{key} {value}" for key, value in parts.items())


def _processor() -> str:
    table = Path("/proc/cpuinfo")
    if table.is_file():
        for line in table.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])

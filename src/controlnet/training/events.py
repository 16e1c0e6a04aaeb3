"""What a run tells those who listen: a progress bar, a tracker, a demo that takes pictures on the way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from controlnet.core.controlnet import ControlNet

Kind = Literal["cache", "begin", "step", "preview", "save", "phase", "arrival", "end", "stop"]


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    kind     cache    latents and contexts are being cached; `record` says how many are "done" of "total"
             begin    the loop is about to start after `step` steps
             step     a step is done; `record` is its line of metrics.jsonl
             preview  a contact sheet was written to `path`; `net` has the weights that it shows
             save     a state was written to `path`
             phase    another phase begins after `step`; `record` says what it connects and unlocks
             arrival  control has arrived; `record` says since which step and by which instruments
             end      the run is complete; `path` is the trained ControlNet, `record` the content of
                      result.json
             stop     the run has ended early; `record` says "why", as the error that is raised does
    step     steps done, of `steps`
    net      the ControlNet in training
    """

    kind: Kind
    step: int
    steps: int
    net: "ControlNet"
    record: Mapping[str, Any] = field(default_factory=dict[str, Any])
    path: Path | None = None


Listener = Callable[[Event], None]

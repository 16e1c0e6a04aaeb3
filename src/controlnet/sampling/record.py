"""How a picture was made, as text: in the form that the web UI writes into its PNGs, and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import final

from controlnet import __version__
from controlnet.sampling.control import MODES, Mode
from controlnet.sampling.schedulers import SAMPLERS, sampler_name


@final
@dataclass(frozen=True)
class ControlRecord:
    """A control as it is written down: names instead of tensors."""

    net: str
    image: str
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: Mode = "balanced"
    annotator: str | None = None


@final
@dataclass(frozen=True)
class Record:
    """All that is needed to make one picture again with the same base and ControlNets."""

    prompt: str
    negative_prompt: str
    seed: int
    steps: int
    guidance_scale: float
    sampler: str
    width: int
    height: int
    base: str
    base_hash: str
    controls: Sequence[ControlRecord] = ()
    image: str | None = None
    mask: str | None = None
    strength: float = 1.0

    def parameters(self) -> str:
        """Write the lines that the web UI keeps under "parameters" and that its readers parse."""
        pairs: list[tuple[str, object]] = [
            ("Steps", self.steps),
            ("Sampler", SAMPLERS[sampler_name(self.sampler)].label),
            ("CFG scale", self.guidance_scale),
            ("Seed", self.seed),
            ("Size", f"{self.width}x{self.height}"),
            ("Model hash", self.base_hash),
            ("Model", self.base),
            *([("Denoising strength", self.strength)] if self.image is not None else []),
            *(
                (f"ControlNet {index}", _quoted(_unit(control)))
                for index, control in enumerate(self.controls)
            ),
            ("Version", f"controlnet {__version__}"),
        ]
        lines = [self.prompt]
        if self.negative_prompt:
            lines.append(f"Negative prompt: {self.negative_prompt}")
        return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in pairs)])

    def texts(self) -> dict[str, str]:
        """Give the texts to be kept in a PNG: "parameters" for the web UI, "controlnet" as JSON for us."""
        whole = {"version": __version__, **asdict(self)}
        return {"parameters": self.parameters(), "controlnet": json.dumps(whole, ensure_ascii=False)}


def _unit(control: ControlRecord) -> str:
    pairs = {
        "Module": control.annotator or "none",
        "Model": control.net,
        "Weight": control.weight,
        "Guidance Start": control.start,
        "Guidance End": control.end,
        "Control Mode": MODES[control.mode],
    }
    return ", ".join(f"{key}: {value}" for key, value in pairs.items())


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

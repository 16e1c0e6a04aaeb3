"""How a picture was made, as text: in the form that the web UI writes into its PNGs, and as JSON."""

import json
from typing import Any, Final, Self, final

from pydantic import BaseModel, ConfigDict, Field

from controlnet import __version__
from controlnet.errors import DataError
from controlnet.fields import checked
from controlnet.sampling.control import MODES, RULES, Law, Mode, Rule
from controlnet.sampling.enlarge import UPSCALERS, Upscaler
from controlnet.sampling.repaint import Side
from controlnet.sampling.schedulers import SAMPLERS, sampler_name

_FROZEN: Final = ConfigDict(frozen=True, extra="forbid")


@final
class FileRecord(BaseModel):
    """A file that took part, as it was named, and a hash of what it held; weight: of a LoRA."""

    model_config = _FROZEN

    path: str
    hash: str = ""
    weight: float | None = None
    token: str | None = None


@final
class ControlRecord(BaseModel):
    """A control as it is written down: names instead of tensors.

    image: what was given; map: what an annotator made of it, beside the result. weight: a number, or the text
    form of a schedule; taps: weights by tap, in their text form.
    """

    model_config = _FROZEN

    net: FileRecord
    image: FileRecord
    map: FileRecord | None = None
    annotator: str | None = None
    weight: float | str = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: Mode = "balanced"
    rule: Rule = RULES[0]
    law: Law | None = None
    taps: str | None = None
    mask: FileRecord | None = None


@final
class Record(BaseModel):
    """All that is needed to make one picture again with the same base and ControlNets.

    prompts, count: of a grid, which holds count pictures of each prompt; else one of `prompt`. device: its
    kind, since kernels round differently on others. width, height: with `hires`, of the first pass.
    """

    model_config = _FROZEN

    prompt: str
    negative_prompt: str = ""
    seed: int
    steps: int
    guidance_scale: float
    guidance_rescale: float = 0.0
    clip_skip: int | None = None
    sampler: str
    width: int
    height: int
    base: str
    base_hash: str = ""
    vae: FileRecord | None = None
    text_encoders: tuple[FileRecord | None, ...] = ()
    prediction_type: str | None = None
    ema: bool = False
    reuse: str | None = None
    vae_tile: int | None = None
    loras: tuple[FileRecord, ...] = ()
    embeddings: tuple[FileRecord, ...] = ()
    controls: tuple[ControlRecord, ...] = ()
    image: FileRecord | None = None
    mask: FileRecord | None = None
    feather: int = 0
    outpaint: dict[Side, int] = Field(default_factory=dict)
    strength: float = 1.0
    hires: float | None = None
    hires_strength: float = 0.55
    upscaler: Upscaler = "lanczos"
    prompts: tuple[str, ...] = ()
    count: int = 1
    grid: bool = False
    device: str = "cpu"
    version: str = __version__

    @classmethod
    def read(cls, text: str, source: str) -> Self:
        """Read the JSON form; DataError, which names the source, for text that is not of this form."""
        try:
            values: Any = json.loads(text)
        except json.JSONDecodeError as error:
            raise DataError(
                f"the settings in {source} are damaged ({error}); give them as options"
            ) from error
        if not isinstance(values, dict) or "prompt" not in values:
            raise DataError(
                f"{source} tells no settings of a picture; wanted one made by `controlnet sample`"
            )
        return checked(cls, values, f"the settings in {source}, written by version {values.get('version')}")

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
            *([("VAE hash", self.vae.hash), ("VAE", self.vae.path)] if self.vae is not None else []),
            *self._task(),
            *([("Clip skip", self.clip_skip)] if self.clip_skip is not None else []),
            *([("Reuse", self.reuse)] if self.reuse is not None else []),
            *([("VAE tile", self.vae_tile)] if self.vae_tile is not None else []),
            *([("CFG rescale", self.guidance_rescale)] if self.guidance_rescale else []),
            *(
                (f"ControlNet {index}", _quoted(_unit(control)))
                for index, control in enumerate(self.controls)
            ),
            *([("Lora hashes", _quoted(_hashes(self.loras)))] if self.loras else []),
            *([("TI hashes", _quoted(_hashes(self.embeddings)))] if self.embeddings else []),
            ("Version", f"controlnet {self.version}"),
        ]
        lines = [self.prompt]
        if self.negative_prompt:
            lines.append(f"Negative prompt: {self.negative_prompt}")
        return "\n".join([*lines, ", ".join(f"{key}: {value}" for key, value in pairs)])

    def _task(self) -> list[tuple[str, object]]:
        """Give what goes beyond text to picture; the web UI has no name for growing."""
        if self.hires is not None:
            return [
                ("Denoising strength", self.hires_strength),
                ("Hires upscale", self.hires),
                ("Hires upscaler", UPSCALERS[self.upscaler]),
            ]
        sides = " ".join(f"{side}={pixels}" for side, pixels in self.outpaint.items())
        return [
            *([("Denoising strength", self.strength)] if self.image is not None else []),
            *([("Mask blur", self.feather)] if self.feather else []),
            *([("Outpaint", sides)] if sides else []),
        ]

    def texts(self) -> dict[str, str]:
        """Give the texts to be kept in a PNG: "parameters" for the web UI, "controlnet" as JSON for us."""
        whole = self.model_dump(mode="json", exclude_defaults=True) | {"version": self.version}
        return {"parameters": self.parameters(), "controlnet": json.dumps(whole, ensure_ascii=False)}


def _unit(control: ControlRecord) -> str:
    pairs: dict[str, object] = {
        "Module": control.annotator or "none",
        "Model": f"{control.net.path} [{control.net.hash[:8]}]" if control.net.hash else control.net.path,
        "Weight": control.weight,
        "Guidance Start": control.start,
        "Guidance End": control.end,
        "Control Mode": MODES[control.mode],
    }
    return ", ".join(f"{key}: {value}" for key, value in pairs.items())


def _hashes(files: tuple[FileRecord, ...]) -> str:
    return ", ".join(f"{file.token or file.path}: {file.hash}" for file in files)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

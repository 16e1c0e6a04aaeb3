"""A call of `controlnet sample`, `frames` or `upscale`: what is to be made, from what, and where it goes."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from controlnet.cli._controls import ControlText
from controlnet.errors import DataError, SettingError

if TYPE_CHECKING:
    from controlnet.sampling.enlarge import Upscaler
    from controlnet.sampling.options import Options
    from controlnet.sampling.repaint import Side


@dataclass(frozen=True)
class Added:
    """A file that is added to the base: a LoRA with its weight, or an embedding with its word."""

    path: Path
    weight: float = 1.0
    token: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """The options, checked as far as it goes without any network.

    Defaults stand for what a command does not offer. outpaint: pixels to grow by, by side. source: the
    picture whose settings are taken over; known: hashes of what it was made from, by name.
    """

    prompts: Sequence[str]
    out: Path
    base: str
    seed: int
    steps: int
    guidance: float
    guidance_rescale: float
    clip_skip: int | None
    sampler: str
    device: str
    negative: str = ""
    vae: Path | None = None
    text_encoders: Sequence[Path | None] = ()  # None keeps the base's own
    prediction_type: str | None = None
    ema: bool = False
    reuse: str | None = None
    vae_tile: int | None = None
    offload: bool = False
    prepack: bool = False
    controls: Sequence[ControlText] = ()
    annotators: Sequence[str | None] = ()  # one for each control, or none at all
    loras: Sequence[Added] = ()
    embeddings: Sequence[Added] = ()
    count: int = 1
    width: int | None = None
    height: int | None = None
    image: Path | None = None
    mask: Path | None = None
    feather: int = 0
    outpaint: "Mapping[Side, int]" = field(default_factory=dict)
    strength: float = 1.0
    hires: float | None = None
    hires_strength: float = 0.55
    upscaler: "Upscaler" = "lanczos"
    grid: bool = False
    preview: Path | None = None
    source: Path | None = None
    known: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def total(self) -> int:
        """Number of pictures."""
        return len(self.prompts) * self.count

    def options(self) -> "Options":
        """Give what every task passes on to `generate`."""
        return {
            "negative_prompt": self.negative,
            "steps": self.steps,
            "guidance_scale": self.guidance,
            "guidance_rescale": self.guidance_rescale,
            "sampler": self.sampler,
            "clip_skip": self.clip_skip,
            "reuse": self.reuse,
        }

    def pictures(self) -> list[Path]:
        """Name the files of the results: `out` itself, or numbered ones."""
        if self.total == 1 or self.grid:
            return [self.out]
        digits = len(str(self.total))
        numbers = range(1, self.total + 1)
        return [self.out.with_name(f"{self.out.stem}-{number:0{digits}}.png") for number in numbers]

    def maps(self) -> dict[int, Path]:
        """Name the files of the maps that are to be made, by the number of their control."""
        wanted = [number for number, annotator in enumerate(self.annotators) if annotator is not None]
        several = len(self.controls) > 1
        return {n: self.out.with_name(f"{self.out.stem}.map{f'-{n + 1}' * several}.png") for n in wanted}

    def check_task(self) -> None:
        """Raise SettingError for options that do not go together."""
        if self.outpaint and self.image is None:
            raise SettingError("got --outpaint without --image; wanted the picture that is to grow")
        if self.mask is not None and self.image is None:
            raise SettingError("got --mask without --image; wanted the picture that is painted anew in part")
        if self.outpaint and self.mask is not None:
            raise SettingError(
                "got --outpaint and --mask; wanted one of them: paint a part anew, then grow the result"
            )
        if self.outpaint and (self.width or self.height):
            raise SettingError(
                "got --outpaint with --width or --height; wanted none: the picture and its new sides tell "
                "the size"
            )
        if self.feather and not self.outpaint and self.mask is None:
            raise SettingError("got --feather without --mask or --outpaint, whose edge it would soften")
        if self.hires is not None and self.image is not None:
            raise SettingError(
                "got --hires with --image; wanted one of them: --hires enlarges what it has made itself, "
                "`controlnet upscale` a picture that is there"
            )

    def check_places(self) -> None:
        """Raise SettingError where a result could not be written, or would replace a picture that is read."""
        if self.out.suffix.lower() != ".png" or self.out.is_dir():
            raise SettingError(f"got --out {self.out}; wanted a .png file, since that carries the settings")
        if self.preview is not None and self.preview.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            raise SettingError(f"got --preview {self.preview}; wanted a .png, .jpg or .webp file")
        read = [path for c in self.controls for path in (c.image, c.mask, c.map)]
        own = {path.resolve() for path in (*read, self.image, self.mask, self.source) if path is not None}
        written = [*self.pictures(), *self.maps().values(), *([self.preview] if self.preview else [])]
        for path in written:
            if path.resolve() in own:
                raise SettingError(f"the result would replace {path}, which is read; choose another --out")


def drawn(seed: int) -> int:
    """Draw a seed where -1 asks for one."""
    return secrets.randbelow(2**32) if seed == -1 else seed


def read_prompts(path: Path) -> list[str]:
    """Read one prompt a line; empty lines and those that begin with # are left out. DataError for none."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the prompts in {path} ({error}); wanted UTF-8 text") from error
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise DataError(f"{path} holds no prompt; wanted one a line")
    return prompts


def read_encoders(paths: Sequence[Path]) -> list[Path | None]:
    """Read one text encoder for each of the base's; "own" is None, which keeps that."""
    return [None if str(path) == "own" else path for path in paths]


def read_sides(text: str) -> "dict[Side, int]":
    """Read "left=64,right=32", or one number for all four sides; SettingError for another form."""
    from controlnet.sampling.repaint import SIDES

    given = [piece.partition("=")[::2] for piece in text.split(",")]
    told = {side.strip(): pixels.strip() for side, pixels in given}
    if text.strip().isdecimal():
        told, given = dict.fromkeys(SIDES, text.strip()), []
    if len(told) < len(given) or not set(told) <= set(SIDES) or not all(map(str.isdecimal, told.values())):
        raise SettingError(
            f"--outpaint {text}: wanted pixels by side, such as left=64,right=64 (also top, bottom), or one "
            "number for all sides"
        )
    return {side: int(told[side]) for side in SIDES if side in told}


def read_lora(text: str) -> Added:
    """Read FILE[:WEIGHT]; SettingError for a weight that is no number, where there is no such file."""
    path, colon, weight = text.rpartition(":")
    if not colon or Path(text).exists():
        return Added(Path(text))
    try:
        return Added(Path(path), weight=float(weight))
    except ValueError as error:
        raise SettingError(f"--lora {text}: {weight!r} is no number; wanted FILE[:WEIGHT]") from error


def read_embedding(text: str) -> Added:
    """Read FILE[:TOKEN]."""
    path, colon, token = text.rpartition(":")
    return Added(Path(text)) if not colon or Path(text).exists() else Added(Path(path), token=token)

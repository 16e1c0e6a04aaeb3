"""What is evaluated: ControlNets, the base by its prompt alone, the autoencoder, others' pictures."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from controlnet.checkpoints import describe
from controlnet.checkpoints.decoder import decoder_of, fingerprint_in
from controlnet.checkpoints.shipped import found
from controlnet.errors import SettingError
from controlnet.sampling.control import Law

Kind = Literal["control", "prompt only", "ceiling", "pictures"]

PROMPT_ONLY: Final = "prompt only"
CEILING: Final = "ceiling"
SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Subject:
    """One of those that are compared: a name for tables, its kind, and where its weights or pictures lie.

    condition: what a ControlNet was trained on, if its file tells. mode, guidance: those of its training's
    own samples, if its file tells. digest: names the weights. decoder: fingerprint of the base's decoder that
    was trained along with it and lies beside it. law: of the soft weights, in the modes that have them.
    parts: ControlNets that act at once, their residuals summed, each under its own condition.
    """

    name: str
    kind: Kind
    source: Path | None = None
    condition: str | None = None
    mode: str | None = None
    guidance: float | None = None
    digest: str = ""
    decoder: str = ""
    law: Law | None = None
    parts: "tuple[Subject, ...]" = ()

    @property
    def prompted(self) -> bool:
        """Whether what it makes depends on the prompt."""
        return self.kind in ("control", "prompt only")

    @property
    def folder(self) -> str:
        """The name of its folder of pictures."""
        return re.sub(r"[^\w.-]+", "-", self.name)


def control(source: str | Path, name: str | None = None) -> Subject:
    """Find a ControlNet by path, shipped name or hub id; CheckpointError where there is none."""
    path = found(source)
    told = describe(path)
    plan: Mapping[str, Any] = told.get("metadata", {}).get("plan") or {}
    watch: Mapping[str, Any] = plan.get("watch") or {}
    decoder = decoder_of(path)
    return Subject(
        name or (str(source) if path.stem == str(source) else path.stem if path.is_file() else path.name),
        "control",
        path,
        (plan.get("data") or {}).get("condition"),
        watch.get("mode"),
        watch.get("guidance_scale"),
        _digest(path),
        "" if decoder is None else fingerprint_in(decoder),
    )


def together(sources: Sequence[str | Path], name: str) -> Subject:
    """Find ControlNets that shall act at once; SettingError where a file does not tell its condition."""
    parts = tuple(control(source) for source in sources)
    for part in parts:
        if part.condition is None:
            raise SettingError(
                f"{part.source} does not tell its condition; only ControlNets that do can act at once"
            )
    if not parts:
        raise SettingError(f"{name!r} names no ControlNet; wanted at least one")
    first, digest = parts[0], hashlib.sha256("".join(part.digest for part in parts).encode()).hexdigest()[:16]
    decoder = next((part.decoder for part in parts if part.decoder), "")  # a base has one: others are refused
    return replace(first, name=name, source=None, digest=digest, decoder=decoder, parts=parts)


def elsewhere(name: str, folder: str | Path) -> Subject:
    """Find a folder of pictures that another program has made; SettingError where there are none."""
    path = Path(folder)
    if not path.is_dir() or not pictures_in(path):
        raise SettingError(
            f"{path} holds no pictures; wanted a folder of .png or .jpg files, one for each example"
        )
    return Subject(name, "pictures", path)


def pictures_in(folder: Path) -> list[Path]:
    """List the pictures of a folder, numbers in their names in the order of counting."""
    found_here = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]
    return sorted(
        found_here, key=lambda path: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", path.name)]
    )


def unlike(subjects: list[Subject]) -> list[Subject]:
    """Return the subjects; SettingError where two have one name, and so one folder."""
    folders = [subject.folder for subject in subjects]
    for subject in subjects:
        if folders.count(subject.folder) > 1:
            raise SettingError(
                f"two of what is compared are called {subject.name!r}; name them apart: NAME=SOURCE"
            )
    return subjects


def _digest(path: Path) -> str:
    """Name the weights of a file or folder by their bytes."""
    whole = hashlib.sha256()
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for file in files:
        with file.open("rb") as content:
            whole.update(hashlib.file_digest(content, "sha256").digest())
    return whole.hexdigest()[:16]

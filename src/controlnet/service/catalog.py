"""What the service has: bases and ControlNets by name, named by whoever started it and by nobody else."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from controlnet.errors import CheckpointError, SettingError, UnknownName
from controlnet.nearest import unknown

_WEIGHTS: Final = (".safetensors", ".pth", ".ckpt", ".bin", ".pt")
_HEAD: Final = 2**20


@dataclass(frozen=True)
class Model:
    """A base or a ControlNet: its name in requests, where it is, a short hash, and its bytes on the disk.

    decoder: fingerprint of the base's decoder that was trained along with a ControlNet and lies beside it.
    """

    name: str
    source: str
    hash: str
    bytes: int
    decoder: str = ""

    @property
    def title(self) -> str:
        """The name with its hash, as the web UI shows it."""
        return f"{self.name} [{self.hash}]"


@dataclass(frozen=True)
class Catalog:
    """All models that a request may name; the first base is the one that is meant where none is named."""

    bases: tuple[Model, ...]
    controls: tuple[Model, ...]

    @classmethod
    def of(cls, bases: Sequence[str] = ("shapes",), controls: Sequence[str] = ()) -> Self:
        """Look at bases, and at ControlNets: files, folders, or folders full of them; shipped ones come too.

        One whose decoder is not beside it is warned of. Raises CheckpointError for what is not there and
        SettingError for two of one name.
        """
        from controlnet.checkpoints.shipped import locate, shipped

        found = [_model(name, str(locate(name))) for name in shipped()] if "shapes" in bases else []
        for source in controls:
            found += map(_with_decoder, _controls(source))
        return cls(_unlike("base", [_base(source) for source in bases]), _unlike("ControlNet", found))

    def base(self, name: str) -> Model:
        """Find a base; UnknownName."""
        return _find("base", name, self.bases)

    def control(self, name: str) -> Model:
        """Find a ControlNet; UnknownName."""
        return _find("ControlNet", name, self.controls)


def _find(noun: str, name: str, models: Sequence[Model]) -> Model:
    for model in models:
        if model.name == name:
            return model
    raise UnknownName(unknown(noun, name, [model.name for model in models]))


def _unlike(noun: str, models: Sequence[Model]) -> tuple[Model, ...]:
    names = [model.name for model in models]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SettingError(f"two {noun}s are called {twice[0]!r}; rename one of them")
    return tuple(models)


def _base(source: str) -> Model:
    from controlnet.backbones._hub import looks_like_id

    if source != "shapes" and not Path(source).exists():
        if not looks_like_id(source):
            raise CheckpointError(
                f'there is no file or folder {source}; wanted "shapes", a folder, a file, or a hub id'
            )
        return Model(source, source, sha256(source.encode()).hexdigest()[:8], 0)
    if source == "shapes":
        from controlnet.backbones import locate

        path, name = locate(source)
        return _model(name, str(path), source)
    path = Path(source).resolve()
    return _model(path.name if path.is_dir() else path.stem, str(path))


def _controls(source: str) -> list[Model]:
    path = Path(source).resolve()
    if not path.exists():
        raise CheckpointError(f"there is no file or folder {source}; wanted ControlNets, or a folder of them")
    if path.is_file():
        return [_model(path.stem, str(path))]
    places = [path] if _weights_of(path) else sorted(path.iterdir())
    found = [(place, weights) for place in places if (weights := _weights_of(place))]
    return [_model(place.name if place.is_dir() else place.stem, str(weights)) for place, weights in found]


def _weights_of(place: Path) -> Path | None:
    """Return the file or folder of a ControlNet: a file, a folder of diffusers, the one in a run's folder."""
    from controlnet.checkpoints.shipped import TRAINED

    if place.suffix in _WEIGHTS and place.is_file():
        return None if _fingerprint(place) else place
    if (place / "config.json").is_file():
        return place
    return place / TRAINED if (place / TRAINED).is_file() else None


def _with_decoder(model: Model) -> Model:
    from controlnet.checkpoints.decoder import decoder_of

    with suppress(CheckpointError):  # what cannot be read says so when it is asked for
        beside = decoder_of(model.source)
        return model if beside is None else replace(model, decoder=_fingerprint(beside))
    return model


def _fingerprint(place: Path) -> str:
    """Return that of a decoder that was trained along with a ControlNet, "" for any other file."""
    from controlnet.checkpoints.decoder import fingerprint_in

    with suppress(CheckpointError):
        return fingerprint_in(place)
    return ""


def _model(name: str, path: str, source: str | None = None) -> Model:
    place = Path(path)
    files = sorted(p for p in place.rglob("*") if p.suffix in _WEIGHTS) if place.is_dir() else [place]
    found = sha256()
    for file in files:  # the beginning of each, for whole checkpoints would take minutes to read
        with file.open("rb") as opened:
            found.update(f"{file.stat().st_size}".encode() + opened.read(_HEAD))
    return Model(name, source or path, found.hexdigest()[:8], sum(file.stat().st_size for file in files))

"""The ControlNets that come with the package, by name; and where a name, file or folder leads to."""

from pathlib import Path
from typing import Final

from controlnet.errors import CheckpointError
from controlnet.nearest import unknown

FOLDER: Final = Path(__file__).parent.parent / "shapes" / "weights" / "controlnets"
SUFFIX: Final = ".safetensors"
TRAINED: Final = "controlnet.safetensors"  # what a training leaves in the folder of its run


def shipped() -> tuple[str, ...]:
    """Name the ControlNets of the embedded base that are part of this installation, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}")))


def found(source: str | Path) -> Path:
    """Find what is meant, on the disk or, by "owner/name", on the hub; CheckpointError if there is none."""
    from controlnet.backbones._hub import fetch, looks_like_id

    if isinstance(source, str) and looks_like_id(source) and not Path(source).exists():
        return fetch(source, ["config.json", "adapter_config.json", "*.safetensors"], weights="*.safetensors")
    return locate(source)


def locate(source: str | Path) -> Path:
    """Find the file or folder that is meant: a path, or the name of a shipped ControlNet such as "canny".

    A bare name wins over a file of that name, which is "./canny"; the folder of a run leads to the ControlNet
    in it. CheckpointError where there is neither; it lists near names.
    """
    if source in shipped():
        return FOLDER / f"{source}{SUFFIX}"
    path = Path(source)
    if (path / TRAINED).is_file():
        return path / TRAINED
    if not path.exists():
        message = unknown("shipped ControlNet", str(source), shipped())
        raise CheckpointError(f"{message}, and there is no file or folder of that name")
    return path

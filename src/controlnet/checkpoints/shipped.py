"""The ControlNets that come with the package, by name; and where a name, file or folder leads to."""

from pathlib import Path
from typing import Final

from controlnet.errors import CheckpointError
from controlnet.nearest import unknown

FOLDER: Final = Path(__file__).parent.parent / "shapes" / "weights" / "controlnets"
SUFFIX: Final = ".safetensors"


def shipped() -> tuple[str, ...]:
    """Name the ControlNets of the embedded base that are part of this installation, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}")))


def locate(source: str | Path) -> Path:
    """Find the file or folder that is meant: a path, or the name of a shipped ControlNet such as "canny".

    A path wins over a shipped name. CheckpointError where there is neither; it lists near names.
    """
    path = Path(source)
    if path.exists() or str(source) not in shipped():
        if not path.exists():
            raise CheckpointError(
                f"{unknown('shipped ControlNet', str(source), shipped())}, and no file is there"
            )
        return path
    return FOLDER / f"{source}{SUFFIX}"

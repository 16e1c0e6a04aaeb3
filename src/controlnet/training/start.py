"""What a run starts from: a base alone, a published ControlNet, or what another run has come to."""

from pathlib import Path
from typing import Final

from controlnet.checkpoints.shipped import TRAINED
from controlnet.training.state import newest

NET: Final = "controlnet.safetensors"
EMA: Final = "ema.safetensors"


def weights_of(source: str) -> str:
    """Return the weights that `control.start_from` means: for the folder of a run, those in it.

    A run that is not finished gives what it would deliver by now, of its newest whole state.
    """
    folder = Path(source)
    state = newest(folder / "state") if not (folder / TRAINED).is_file() else None
    if state is None:
        return source
    return str(next(path for path in (state / EMA, state / NET) if path.is_file()))

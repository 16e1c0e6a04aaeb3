"""Models of transformers from a folder: whole, in silence, and with nothing unpickled."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from controlnet.errors import CheckpointError


def from_folder(kind: Any, folder: Path) -> Any:
    """Return a model of a class of transformers with the weights of a folder, which must be safetensors.

    Raises CheckpointError where the folder is damaged, is of another kind, or lacks a tensor that the model
    needs. Mask tokens serve only a backbone's training and may be missing.
    """
    try:
        with _silence():
            model, facts = kind.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"cannot load {kind.__name__} from {folder} ({reason}); fetch it again"
        ) from error
    lacking = sorted(key for key in facts["missing_keys"] if not key.endswith("mask_token"))
    if lacking:
        got = ", ".join(lacking[:4]) + (f" and {len(lacking) - 4} more" if len(lacking) > 4 else "")
        raise CheckpointError(f"{folder} lacks {got}; wanted a whole {kind.__name__}: fetch it again")
    return model


@contextmanager
def _silence() -> Iterator[None]:
    """Keep transformers from drawing bars and tables, which would break ours; what matters is raised."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()

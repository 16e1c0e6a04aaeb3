"""Folders of the Hugging Face hub: from the local cache, or fetched where there is a connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from controlnet.errors import CheckpointError

_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_UNWANTED = ["*.fp16.*", "*non_ema*", "*.bin", "*onnx*", "*openvino*", "*flax*"]


def looks_like_id(source: str) -> bool:
    """Tell whether a source reads as "owner/name"."""
    return _ID.fullmatch(source) is not None


def fetch(repository: str, files: Sequence[str], weights: str) -> Path:
    """Return the local folder of a hub repository, with the files of these patterns; safetensors only.

    Half-precision variants are taken where the full ones, as found by the pattern `weights`, are missing.
    Raises CheckpointError where the repository is neither in the cache nor within reach (HF_HUB_OFFLINE is
    respected), and where it has no safetensors.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        folder = Path(snapshot_download(repository, allow_patterns=list(files), ignore_patterns=_UNWANTED))
        if not any(folder.glob(weights)):
            halves = [pattern.replace(".safetensors", ".fp16.safetensors") for pattern in files]
            folder = Path(snapshot_download(repository, allow_patterns=halves))
    except (
        OSError,
        HFValidationError,
    ) as error:  # everything that the hub's client raises derives from these
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(
            f"cannot get {repository!r} from the hub ({reason[0]}), and it is no local folder; wanted one of "
            f"them: fetch it where there is a connection (hf download {repository}), or give a local folder"
        ) from error
    if not any(folder.glob(weights)):
        raise CheckpointError(
            f"got {repository!r} without {weights}; wanted weights as safetensors: convert them, or use a "
            "repository that has them"
        )
    return folder

"""Networks that are published as ONNX files, run by onnxruntime, which is an extra."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from controlnet.errors import CheckpointError, MissingExtra

Run = Callable[[Float[np.ndarray, "..."]], list[np.ndarray]]


def session(path: Path) -> Run:
    """Return an ONNX file as a function of its one input, which returns its outputs in their order.

    It runs on the GPU where this onnxruntime can. Raises MissingExtra without onnxruntime, and
    CheckpointError for a file that it cannot read; the function, for a file of another input.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(
            f'{path.name} is run by onnxruntime, which is not installed; pip install "controlnet[annotators]"'
        ) from error
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    able = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        runner = onnxruntime.InferenceSession(str(path), providers=able)
    except Exception as error:  # its errors share no other base
        raise CheckpointError(
            f"cannot read {path} ({_reason(error)}); it may be damaged: fetch it again"
        ) from error
    name = runner.get_inputs()[0].name

    def run(given: Float[np.ndarray, "..."]) -> list[np.ndarray]:
        try:
            found: Any = runner.run(None, {name: given})
        except Exception as error:
            raise CheckpointError(
                f"{path} does not take {given.shape} ({_reason(error)}); wanted the published file: fetch it"
            ) from error
        return found

    return run


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

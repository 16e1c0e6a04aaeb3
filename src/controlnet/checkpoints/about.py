"""What a checkpoint is, told without loading it: for `controlnet info`."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from controlnet.checkpoints.format import CheckpointFormat
from controlnet.checkpoints.io import Source, look, read_tensors
from controlnet.errors import CheckpointError
from controlnet.registry import find, names

_ZEROS = ("zeros.", "controlnet_down_blocks.", "controlnet_mid_block.")


def describe(path: str | Path) -> dict[str, Any]:
    """Return format, size, precision, settings, base and metadata of a checkpoint, or raise CheckpointError.

    "trained" is false while every zero convolution is still zero: such a net has no effect.
    """
    source = look(path)
    kind = format_of(source)
    zeros = read_tensors(source, [name for name in source.shapes if name.startswith(_ZEROS)])
    return {
        "path": str(source.path),
        "format": type(kind).__module__.rpartition(".")[2],
        "title": kind.title,
        "bytes": source.weights.stat().st_size,
        "tensors": len(source.shapes),
        "parameters": sum(prod(shape) for shape in source.shapes.values()),
        "precision": sorted(source.precisions),
        "trained": any(bool(tensor.any()) for tensor in zeros.values()),
        **kind.describe(source),
    }


def format_of(source: Source) -> CheckpointFormat:
    """Find the format of a source by its content; CheckpointError says what the content is instead."""
    for name in names("formats"):
        kind: CheckpointFormat = find("formats", name)()
        if kind.matches(source):
            return kind
    if source.config:
        got = f"a folder of class {source.config.get('_class_name', 'unknown')}"
    else:
        got = f"a file of {len(source.shapes)} tensors ({', '.join(sorted(source.shapes)[:3])} …)"
    raise CheckpointError(
        f"{source.path} is {got}; wanted a ControlNet in one of the formats {', '.join(names('formats'))}: "
        "convert it first"
    )

"""What a checkpoint is, told without loading it: for `controlnet info`."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from controlnet.backbones._sizes import family
from controlnet.checkpoints.about_base import describe_base, is_base
from controlnet.checkpoints.decoder import describe_decoder, is_decoder
from controlnet.checkpoints.foreign import foreign
from controlnet.checkpoints.format import CheckpointFormat
from controlnet.checkpoints.health import health
from controlnet.checkpoints.io import Source, look
from controlnet.errors import CheckpointError
from controlnet.registry import find, name_of, names


def describe(path: str | Path) -> dict[str, Any]:
    """Return what a checkpoint is, or raise CheckpointError.

    format, title, family, size, precision, settings, base, metadata; and its health: "trained" is false while
    every zero convolution is still zero (such a net has no effect), "dead_taps" are those of a trained net
    that are still zero, "not_finite" the tensors with a NaN or an infinity. Tensors are read one at a time.
    Of a whole base in one file: its family, parts, precision and kind of prediction, see `describe_base`; and
    of a decoder that was trained along with a ControlNet, see `describe_decoder`.
    """
    source = look(path)
    if is_base(source):
        return describe_base(source)
    if is_decoder(source):
        return describe_decoder(source)
    kind = format_of(source)
    told = kind.describe(source)
    return {
        "path": str(source.path),
        "format": name_of("formats", type(kind)),
        "title": kind.title,
        "family": family(told.get("base", {}).get("configuration", {})),
        "needs_base": kind.needs_base,
        "bytes": sum(file.stat().st_size for file in source.files),
        "tensors": len(source.pieces),
        "parameters": sum(prod(piece.shape) for piece in source.pieces.values()),
        "precision": source.precisions,
        **health(source.pieces),
        **told,
    }


def format_of(source: Source) -> CheckpointFormat:
    """Find the format of a source by its content; CheckpointError says what the content is instead."""
    what = foreign(source)
    if not what:
        for name in names("formats"):
            kind: CheckpointFormat = find("formats", name)()
            if kind.matches(source):
                return kind
    if what:
        got = what
    elif source.config:
        got = f"a folder of class {source.config.get('_class_name', 'unknown')}"
    else:
        got = f"a file of {len(source.pieces)} tensors ({', '.join(sorted(source.pieces)[:3])} …)"
    raise CheckpointError(
        f"{source.path} is {got}; wanted a ControlNet in one of the formats {', '.join(names('formats'))}: "
        "give such a file"
    )

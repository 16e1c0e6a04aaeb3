"""ONNX files of a few operations, written by hand: what stands in for networks that nobody can download.

A file is a protobuf message, a row of fields: a number and a kind, then an integer or the length and the
bytes of what it holds. The numbers are those of onnx.proto.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

FLOAT = 1
_IR, _OPSET = 8, 13


def write(
    path: Path, given: Sequence[int], channel: int, outputs: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    """Write a network that returns, for each output's (start, slope), start + slope × mean of a channel.

    It takes float32 of the shape `given` (B, C, H, W); that mean has the shape (B, 1).
    """
    nodes = [
        _node("ReduceMean", ["x"], "means", axes=(2, 3), keepdims=(0,)),
        _node("Gather", ["means", "channel"], "mean", axis=(1,)),
    ]
    constants = [_tensor("channel", np.array([channel], np.int64))]
    for name, (start, slope) in outputs.items():
        constants += [_tensor(f"{name}_start", start), _tensor(f"{name}_slope", slope)]
        nodes += [
            _node("Mul", [f"{name}_slope", "mean"], f"{name}_grown"),
            _node("Add", [f"{name}_start", f"{name}_grown"], name),
        ]
    shapes = {name: np.broadcast_shapes(start.shape, slope.shape) for name, (start, slope) in outputs.items()}
    graph = [
        *(_field(1, node) for node in nodes),
        _field(2, "tiny"),
        *(_field(5, constant) for constant in constants),
        _field(11, _value("x", given)),
        *(_field(12, _value(name, shape)) for name, shape in shapes.items()),
    ]
    path.write_bytes(_field(1, _IR) + _field(7, b"".join(graph)) + _field(8, _field(2, _OPSET)))


def _field(number: int, held: int | str | bytes) -> bytes:
    if isinstance(held, int):
        return _varint(number << 3) + _varint(held)
    raw = held.encode() if isinstance(held, str) else held
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + _varint(rest) if rest else bytes([low])


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: tuple[int, ...]) -> bytes:
    parts = [*(_field(1, name) for name in inputs), _field(2, output), _field(4, kind)]
    for name, values in attributes.items():
        several = name == "axes"
        held = [_field(8 if several else 3, value) for value in values]
        parts.append(_field(5, _field(1, name) + b"".join(held) + _field(20, 7 if several else 2)))
    return b"".join(parts)


def _tensor(name: str, values: np.ndarray) -> bytes:
    kind = {"float32": FLOAT, "int64": 7}[values.dtype.name]
    sides = b"".join(_field(1, side) for side in values.shape)
    return sides + _field(2, kind) + _field(8, name) + _field(9, values.tobytes())


def _value(name: str, shape: Sequence[int]) -> bytes:
    sides = b"".join(_field(1, _field(1, side)) for side in shape)
    return _field(1, name) + _field(2, _field(1, _field(1, FLOAT) + _field(2, sides)))

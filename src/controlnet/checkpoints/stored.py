"""Stored: a ControlNet at rest, its structure without weights, and its tensors still on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import torch

from controlnet.checkpoints.kept import Factors, merged_pieces
from controlnet.core.controlnet import ControlNet
from controlnet.tensorfiles.piece import Piece


@final
@dataclass(frozen=True)
class Stored:
    """What formats read and write; the pieces are exactly the net's parameters, by the net's own names.

    factors: of the pieces that are sums of a base's weight and a product of two narrow matrices, these two.
    """

    net: ControlNet
    pieces: Mapping[str, Piece] = field(repr=False)
    metadata: Mapping[str, Any]
    factors: Factors = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, net: ControlNet, metadata: Mapping[str, Any]) -> Stored:
        """Take a ControlNet that is awake."""
        return cls(net, merged_pieces(net), metadata)

    def wake(self, device: torch.device | str, dtype: torch.dtype) -> ControlNet:
        """Load all tensors into the net, on a device and in a precision.

        What has this precision already stays mapped to its file, which nothing writes through to.
        """
        tensors = {name: piece.load().to(device, dtype) for name, piece in self.pieces.items()}
        self.net.load_state_dict(tensors, strict=True, assign=True)
        return self.net.eval()

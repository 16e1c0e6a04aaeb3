"""A network built without weights, and filled from a file tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from controlnet.errors import CheckpointError
from controlnet.tensorfiles.match import matched
from controlnet.tensorfiles.piece import Piece


def skeleton(make: Callable[[], nn.Module], place: str) -> Any:
    """Build a network on the meta device: nothing is drawn, and the random numbers stay as they were.

    Raises CheckpointError for sizes that make no network.
    """
    try:
        with torch.device("meta"):
            return make()
    except Exception as error:  # sizes read from a foreign file can be wrong in any way
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{place} shows sizes of which no network can be built ({first}); copy it anew"
        ) from error


def filled(
    net: Any, found: Mapping[str, Piece], names: Mapping[str, str], place: str, dtype: torch.dtype
) -> Any:
    """Fill a network from pieces, by `names` from its own to those in the file; strict both ways.

    What has the wanted precision stays mapped to the file and takes memory when it is used.
    """
    ready = matched(net, found, names, place)
    tensors = {own: piece.load().to(dtype) for own, piece in ready.items()}
    net.load_state_dict(tensors, strict=True, assign=True)
    return net.eval()

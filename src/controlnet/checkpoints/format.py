"""What a checkpoint format is: recognised by its content, read strictly, written whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from controlnet.checkpoints.io import Source
from controlnet.core.controlnet import ControlNet


class CheckpointFormat(ABC):
    """One way of keeping a ControlNet on disk; stateless, one class for each file in `formats`."""

    title: ClassVar[str]

    @abstractmethod
    def matches(self, source: Source) -> bool:
        """Tell from names, notes and configuration whether a source is of this format."""

    @abstractmethod
    def read(self, source: Source) -> ControlNet:
        """Rebuild the ControlNet, on the CPU and in the stored precision.

        Raises CheckpointError, which lists them, where tensors are missing, unexpected or of another size.
        """

    @abstractmethod
    def write(
        self, net: ControlNet, path: Path, metadata: Mapping[str, Any], dtype: torch.dtype | None
    ) -> None:
        """Write a ControlNet; CheckpointError for one that this format cannot hold."""

    @abstractmethod
    def describe(self, source: Source) -> dict[str, Any]:
        """Say what the source tells of its settings, its base and its making, without loading its tensors."""

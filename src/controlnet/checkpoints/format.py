"""What a checkpoint format is: recognised by its content, read strictly, written whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import torch

from controlnet.checkpoints.base import BaseWeights
from controlnet.checkpoints.io import Source
from controlnet.checkpoints.stored import Stored
from controlnet.errors import CheckpointError


@final
@dataclass(frozen=True)
class Writing:
    """How a checkpoint shall be written: precision on disk (its own unless given), base, and rank."""

    dtype: torch.dtype | None = None
    base: BaseWeights | None = None
    rank: int = 64


class CheckpointFormat(ABC):
    """One way of keeping a ControlNet on disk; stateless, one class for each file in `formats`.

    needs_base: it keeps only what differs from the base, so that reading and writing take one.
    """

    title: ClassVar[str]
    aliases: ClassVar[Mapping[str, str]] = {}
    needs_base: ClassVar[bool] = False

    @abstractmethod
    def matches(self, source: Source) -> bool:
        """Tell from names, notes and configuration whether a source is of this format."""

    @abstractmethod
    def read(self, source: Source, base: BaseWeights | None) -> Stored:
        """Rebuild the ControlNet with its tensors still on the disk; the base helps where it is needed.

        Raises CheckpointError, which lists them, where tensors are missing, unexpected or of another size.
        """

    @abstractmethod
    def write(self, stored: Stored, path: Path, how: Writing) -> Mapping[str, Any]:
        """Write a ControlNet, and return what is worth telling about it.

        Raises CheckpointError for one that this format cannot hold.
        """

    @abstractmethod
    def describe(self, source: Source) -> dict[str, Any]:
        """Say what the source tells of its backbone, settings, base and metadata, without loading tensors."""


def wanted_base(base: BaseWeights | None, what: str) -> BaseWeights:
    """Return the base; CheckpointError where there is none."""
    if base is None:
        raise CheckpointError(
            f"{what} holds only what differs from its base, and no base was given; wanted it: add base=… "
            "(--base on the command line), a folder, a file or a loaded base"
        )
    return base


def wanted_file(path: Path) -> None:
    """Refuse to write a file where a folder is."""
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; wanted a file name such as {path / 'net.safetensors'}")

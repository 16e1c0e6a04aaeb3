"""Parts of a base that come from elsewhere: another VAE, other text encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch

from controlnet.backbones._base import Base
from controlnet.backbones._folder import INDEX, read_model, read_part
from controlnet.backbones._single_file.layout import TEXT, TEXTS, VAE
from controlnet.backbones._single_file.text import read_text
from controlnet.backbones._single_file.vae import read_vae
from controlnet.errors import CheckpointError, SettingError
from controlnet.tensorfiles.piece import Piece
from controlnet.tensorfiles.shard import open_shard

Source = str | Path
Settings = Callable[[], Mapping[str, Any]]


@final
class Replaced:
    """Reads a part where another one is asked for, and gives None where the base's own is meant.

    A part is a file, alone or inside a whole base, or a folder, of the model or of a whole pipeline.
    """

    def __init__(
        self,
        vae: Source | None,
        text_encoder: Source | Sequence[Source | None] | None,
        dtype: torch.dtype,
    ) -> None:
        several = [text_encoder] if isinstance(text_encoder, str | Path) else list(text_encoder or ())
        self._vae = None if vae is None else Path(vae)
        self._texts = [None if one is None else Path(one) for one in several]
        self._dtype = dtype

    def vae(self, settings: Settings) -> Any:
        """Read the other VAE; the settings say what a file does not."""
        path = self._vae
        if path is None or path.is_dir():
            return path and _of_folder(path, "vae", self._dtype)
        return read_vae(_inside(path, (VAE,)), settings(), str(path), self._dtype)

    def text(self, slot: int, settings: Settings) -> Any:
        """Read the other text encoder of a place, counted from 0."""
        path = self._texts[slot] if slot < len(self._texts) else None
        if path is None or path.is_dir():
            return path and _of_folder(path, f"text_encoder{'_2' * slot}", self._dtype)
        return read_text(_inside(path, (TEXT, TEXTS[slot])), settings(), str(path), self._dtype)

    def __bool__(self) -> bool:
        """Tell whether any part is replaced."""
        return self._vae is not None or bool(self._texts)

    def check(self, base: Base) -> None:
        """See that the parts go together; CheckpointError where they do not."""
        if len(self._texts) > len(base.text_encoders):
            raise SettingError(
                f"got {len(self._texts)} text encoders; this base has {len(base.text_encoders)}: give as many"
            )
        network: Any = base.network
        wanted, channels = network.config.cross_attention_dim, network.config.out_channels
        width = sum(encoder.config.hidden_size for encoder in base.text_encoders)
        if isinstance(wanted, int) and width != wanted:
            raise CheckpointError(
                f"the base {base.name!r} wants texts of width {wanted}; got {width}: give text_encoder= of "
                "its family"
            )
        if base.latent_channels != channels:
            raise CheckpointError(
                f"the base {base.name!r} works on {channels} channels; its VAE has {base.latent_channels}: "
                "give vae= of its family"
            )


def _of_folder(path: Path, part: str, dtype: torch.dtype) -> Any:
    return read_part(path, part, dtype) if (path / INDEX).is_file() else read_model(path, dtype)


def _inside(path: Path, prefixes: Sequence[str]) -> dict[str, Piece]:
    """Take a part out of a whole base, or a file as it is."""
    pieces = open_shard(path).pieces()
    for prefix in prefixes:
        found = {
            name.removeprefix(prefix): piece for name, piece in pieces.items() if name.startswith(prefix)
        }
        if found:
            return found
    return pieces

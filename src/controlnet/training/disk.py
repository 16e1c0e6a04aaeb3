"""The cache on disk of what the locked encoders make, and how they leave memory once all of it is there.

    FOLDER/latents-3f9a0c21b7de/    posteriors of the VAE of that hash, in that precision
    FOLDER/text-90be1f7742a1/       contexts of the text encoders of that hash

What names an entry is its content (`data/cache/keys`), and what names a folder is the model: so another
learning rate, another ControlNet, another set with some of the same pictures find what is there, and
another VAE finds nothing of it.
"""

import json
import logging
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from controlnet.backbones import Base
from controlnet.core.origin import fingerprint
from controlnet.data.cache import TensorStore

log = logging.getLogger(__name__)


def default_folder() -> Path:
    """Return where caches lie unless a plan says: $CONTROLNET_CACHE, else a folder in the user's cache."""
    given = os.environ.get("CONTROLNET_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "controlnet" / "encoded"


class Disk:
    """Posteriors and contexts of one base, on the disk; a missing or damaged entry is made again and kept.

    revive: loads the base anew, for the rare entry that is missed after the encoders have left.
    """

    def __init__(self, base: Base, folder: Path, revive: Callable[[], Base]) -> None:
        self._base, self._revive, self._gone = base, revive, False
        self.folder = folder
        pictures, captions = identity_of_vae(base), identity_of_text(base)
        self.pictures = TensorStore(folder / f"latents-{_short(pictures)}", pictures)
        self.captions = TensorStore(folder / f"text-{_short(captions)}", captions)

    def posterior(self, key: str, make: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (1,C,h,w) of a picture's latents."""

        def parts() -> dict[str, Tensor]:
            mean, deviation = make()
            # Of a deterministic encoder the latents are all there is to keep.
            return {"mean": mean, "deviation": deviation} if deviation.any() else {"mean": mean}

        found = self._kept(self.pictures, key, parts)
        deviation = found.get("deviation")
        return found["mean"], torch.zeros_like(found["mean"]) if deviation is None else deviation

    def context(self, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the parts of a caption's context, each with a batch of one."""
        return self._kept(self.captions, key, make)

    def flush(self) -> None:
        """Bring everything to the disk."""
        self.pictures.flush()
        self.captions.flush()

    def refresh(self) -> None:
        """See what other processes have written."""
        self.pictures.refresh()
        self.captions.refresh()

    def whole(self, name: str) -> bool:
        """Tell whether all of a set is here, as `mark` noted."""
        return self.pictures.marked(name) and self.captions.marked(name)

    def mark(self, name: str) -> None:
        """Note that all of a set is here."""
        self.pictures.mark(name)
        self.captions.mark(name)

    def dismiss(self, decodes: bool) -> None:
        """Let text encoders and VAE leave memory; of the VAE the decoder stays where samples are drawn."""
        vae, self._gone = self._base.vae, True
        self._base.text_encoders = ()
        vae.encoder = vae.quant_conv = None
        if not decodes:
            vae.decoder = vae.post_quant_conv = None

    def _kept(self, store: TensorStore, key: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        found = store.get(key)
        if found is None:
            late = self._gone
            if late:
                log.warning("%s lacks an entry that was there; the encoders are loaded again", store.folder)
                self._restore()
            found = make()
            store.put(key, found)
            if late:
                store.flush()
        return found

    def _restore(self) -> None:
        revived = self._revive()
        self._base.vae, self._base.text_encoders = revived.vae, revived.text_encoders
        self._gone = False


def identity_of_vae(base: Base) -> str:
    """Name what latents depend on: the VAE's weights, scaling and precision, and that of the base."""
    config = base.vae.config
    scaling = f"{config.scaling_factor:g}, {getattr(config, 'shift_factor', None) or 0:g}"
    dtype = next(base.vae.parameters()).dtype
    return f"VAE {fingerprint(base.vae)} (scaling {scaling}; {_name(dtype)} to {_name(base.dtype)})"


def identity_of_text(base: Base) -> str:
    """Name what contexts depend on: the text encoders' weights and precision, their tokenizers, and use."""
    kind = getattr(base.network.config, "addition_embed_type", None)
    parts = [_encoder(*pair) for pair in zip(base.text_encoders, base.tokenizers, strict=True)]
    return f"text encoders {', '.join(parts)} ({kind}; {_name(base.dtype)})"


def _encoder(encoder: nn.Module, tokenizer: Any) -> str:
    words = [tokenizer.get_vocab(), tokenizer.model_max_length, str(tokenizer.special_tokens_map)]
    return f"{fingerprint(encoder)}/{_short(json.dumps(words, sort_keys=True))}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _short(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]

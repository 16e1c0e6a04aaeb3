"""CLIP, of transformers, and the small networks that judge beauty by its picture embedding."""

from functools import lru_cache
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from controlnet.conditions._networks.folder import from_folder
from controlnet.conditions._networks.load import device, pretrained, ready
from controlnet.conditions._weights import Weights
from controlnet.errors import CheckpointError
from controlnet.evaluation.metric import Pixels

LARGE: Final = "openai/clip-vit-large-patch14"
_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_SPREAD: Final = (0.26862954, 0.26130258, 0.27577711)
_MEGABYTES: Final = {
    LARGE: 1710.0,
    "openai/clip-vit-base-patch16": 599.0,
    "openai/clip-vit-base-patch32": 605.0,
}

PREDICTOR: Final = Weights(
    repo="https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/main",
    file="sac+logos+ava1-l14-linearMSE.pth",
    megabytes=3.7,
    licence="Apache-2.0",
)


def clip_weights(repo: str) -> Weights:
    """Return the entry of a CLIP model on the hub."""
    return Weights(repo, None, _MEGABYTES.get(repo, 600.0), "MIT (OpenAI's models)")


@final
class Clip:
    """A CLIP model from a folder of transformers; pictures and texts become vectors of unit length."""

    def __init__(self, folder: Path) -> None:
        from transformers import CLIPModel, CLIPTokenizer

        self._model: Any = ready(from_folder(CLIPModel, folder))
        try:
            self._tokenizer: Any = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{folder} has no tokenizer of CLIP ({error}); fetch it again") from error
        self._side: int = self._model.config.vision_config.image_size

    @torch.no_grad()
    def picture(self, picture: Pixels) -> Tensor:
        """Return the unit vector (D,) of a picture."""
        found = self._model.vision_model(pixel_values=self._resized(picture)).pooler_output
        return nn.functional.normalize(self._model.visual_projection(found)[0].float(), dim=0)

    @torch.no_grad()
    def text(self, text: str) -> Tensor:
        """Return the unit vector (D,) of a text; what exceeds 77 tokens is cut off."""
        given = self._tokenizer(text, return_tensors="pt", truncation=True, max_length=self._length)
        found = self._model.text_model(
            **{key: value.to(device()) for key, value in given.items()}
        ).pooler_output
        return nn.functional.normalize(self._model.text_projection(found)[0].float(), dim=0)

    @property
    def _length(self) -> int:
        return self._model.config.text_config.max_position_embeddings

    def _resized(self, picture: Pixels) -> Tensor:
        """Short side to the model's, bicubic, and the middle of it: as CLIP's own preprocessing."""
        height, width = picture.shape[:2]
        scale = self._side / min(height, width)
        # The shorter side exactly, the other cut off to whole pixels, as in CLIP's code.
        short = min(height, width)
        size = (
            (self._side if width == short else int(width * scale)),
            (self._side if height == short else int(height * scale)),
        )
        whole = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
        left, top = ((side - self._side) // 2 for side in size)
        cut = np.asarray(whole.crop((left, top, left + self._side, top + self._side)))
        x = torch.from_numpy(cut.copy()).to(device()).permute(2, 0, 1).float() / 255
        mean, spread = (torch.tensor(part, device=x.device).view(3, 1, 1) for part in (_MEAN, _SPREAD))
        return ((x - mean) / spread)[None]


def clip(model: str) -> Clip:
    """Return a CLIP model, a local folder or, by "owner/name", from where weights lie; once in a process.

    Raises MissingWeights where it is not on this machine.
    """
    folder = Path(model)
    if folder.is_dir():
        return _local(folder.resolve())
    return pretrained(Clip, clip_weights(model))


@lru_cache(maxsize=4)
def _local(folder: Path) -> Clip:
    return Clip(folder)


@final
class Predictor(nn.Module):
    """LAION's improved predictor: five linear layers, nothing between them."""

    def __init__(self) -> None:
        super().__init__()
        widths = {0: (768, 1024), 2: (1024, 128), 4: (128, 64), 6: (64, 16), 7: (16, 1)}
        self.layers = nn.ModuleDict({str(number): nn.Linear(*sides) for number, sides in widths.items()})

    def forward(self, x: Tensor) -> Tensor:
        """Return the score (…, 1) of unit vectors (…, 768)."""
        for layer in self.layers.values():
            x = layer(x)
        return x


@final
class LinearPredictor(nn.Module):
    """LAION's first predictor: one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 768))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the score (…, 1) of unit vectors (…, 768)."""
        return nn.functional.linear(x, self.weight, self.bias)

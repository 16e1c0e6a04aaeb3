"""BLIP's captions: one plain sentence for each picture."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from PIL import Image
from pydantic import Field

from controlnet.captioners._base import Captioner
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights
from controlnet.errors import CheckpointError, MissingWeights

# The statistics of CLIP's pictures, which BLIP was trained with; its folder may name others.
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@final
class Blip(Captioner):
    """Captions by BLIP through transformers, without sampling: the same picture gets the same words.

    Source: J. Li et al., BLIP, arXiv 2201.12086; the ControlNet paper captioned its pictures with it.
    """

    title: ClassVar[str] = "BLIP: one plain sentence for each picture"
    paper: ClassVar[str] = "J. Li et al., BLIP, arXiv 2201.12086, 2022"
    licence: ClassVar[str] = "code and weights BSD-3-Clause"

    model: str = Field(
        default="Salesforce/blip-image-captioning-base",
        description="folder of a BLIP captioning model, or its name on the hub if it is in the hub's cache",
    )
    prefix: str = Field(default="", max_length=200, description="words that every caption begins with")
    words: int = Field(default=30, ge=1, le=200, description="most tokens of a caption")

    def ready(self) -> None:
        """Check that the model is on this machine; raises MissingWeights."""
        _folder(self.model)

    def caption(self, image: Pixels) -> str:
        """Return what BLIP says of a picture."""
        import torch

        network, tokenizer, prepare = _loaded(self.model)
        with torch.inference_mode():
            pixels = torch.from_numpy(prepare(image)).to(network.device)
            begun: dict[str, Any] = {}
            if self.prefix:
                tokens = tokenizer(self.prefix, return_tensors="pt").to(network.device)
                begun = {"input_ids": tokens["input_ids"], "attention_mask": tokens["attention_mask"]}
            found = network.generate(
                pixel_values=pixels, **begun, max_new_tokens=self.words, num_beams=1, do_sample=False
            )
        return " ".join(tokenizer.decode(found[0], skip_special_tokens=True).split())


def _folder(model: str) -> Path:
    """Return where the model lies; raises MissingWeights."""
    if Path(model).is_dir():
        return Path(model)
    try:
        return Weights(repo=model, file=None, megabytes=990, licence="BSD-3-Clause").find()
    except MissingWeights as error:
        raise MissingWeights(
            f"BLIP's model {model!r} is neither a folder here nor in the hub's cache; fetch it with "
            f"`hf download {model}`, or name its folder: blip(model='FOLDER')"
        ) from error
    except ValueError as error:  # no name that the hub could have
        raise MissingWeights(
            f"{model!r} is no folder and no name of the hub; name the folder of a BLIP model"
        ) from error


@lru_cache(maxsize=1)  # once in a process
def _loaded(model: str) -> tuple[Any, Any, Any]:
    import torch
    from transformers import AutoTokenizer
    from transformers.models.blip.modeling_blip import BlipForConditionalGeneration

    folder = _folder(model)
    try:
        network: Any = BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{folder} holds no BLIP model that can be read ({said}); wanted config.json, model.safetensors "
            "and a tokenizer, as `save_pretrained` writes them"
        ) from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return network.to(device), tokenizer, _Prepare(folder, network.config.vision_config.image_size)


class _Prepare:
    """The picture as BLIP's vision network takes it: stretched to a square, normalised, (1, 3, S, S)."""

    def __init__(self, folder: Path, side: int) -> None:
        path = folder / "preprocessor_config.json"
        told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        self.side = side
        self.mean = np.array(told.get("image_mean") or _MEAN, np.float32)
        self.std = np.array(told.get("image_std") or _STD, np.float32)

    def __call__(self, image: Pixels) -> np.ndarray:
        square = Image.fromarray(image).resize((self.side, self.side), Image.Resampling.BICUBIC)
        return ((np.asarray(square, np.float32) / 255 - self.mean) / self.std).transpose(2, 0, 1)[None]

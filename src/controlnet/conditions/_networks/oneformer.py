"""OneFormer of transformers: a picture and the words "the task is semantic" to the classes of its pixels.

Source: Jain et al., OneFormer: One Transformer to Rule Universal Image Segmentation, arXiv 2211.06220. Model
and tokenizer come from one folder. Its processor is left out: it asks the hub for the names of the classes,
and takes pictures that are resized already. What it computes besides is here, and tested to be the same.
"""

from pathlib import Path
from typing import Any, Final, final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from controlnet.conditions._networks.folder import from_folder
from controlnet.conditions._networks.imagenet import standardised
from controlnet.conditions._networks.load import ready
from controlnet.errors import CheckpointError

TASK: Final = "the task is semantic"


@final
class OneFormer(nn.Module):
    """The model with its task spelt in tokens (T,), 0 where there is no word."""

    def __init__(self, model: nn.Module, task: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("task", task[None], persistent=False)

    def forward(self, picture: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 classes h w"]:
        """Return how far each class is seen at each pixel of a picture, RGB in 0 … 255."""
        said: Any = self.model(pixel_values=standardised(picture), task_inputs=self.get_buffer("task"))
        classes = said.class_queries_logits.softmax(dim=-1)[..., :-1]  # the last one is "nothing"
        masks = said.masks_queries_logits.sigmoid()  # 1 Q h/4 w/4
        seen = torch.einsum("bqc,bqhw->bchw", classes, masks)
        return F.interpolate(seen, picture.shape[2:], mode="bilinear")


def one_former(folder: Path) -> OneFormer:
    """Return the model of a folder of transformers; CheckpointError for what is missing in it or damaged."""
    from transformers import OneFormerForUniversalSegmentation

    model = from_folder(OneFormerForUniversalSegmentation, folder)
    return ready(OneFormer(model, _task_tokens(folder, model.config.task_seq_len)))


def _task_tokens(folder: Path, length: int) -> Tensor:
    """Spell the task in `length` tokens, 0 after its end."""
    from transformers import CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"cannot load a tokenizer from {folder} ({reason}); fetch it again") from error
    spelt: Any = tokenizer(
        TASK, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    return (spelt["input_ids"] * spelt["attention_mask"])[0]

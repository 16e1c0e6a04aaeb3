"""CLIP score: does the picture show what the prompt says, as CLIP sees both?"""

from functools import lru_cache
from typing import ClassVar, final

import numpy as np
from torch import Tensor

from controlnet.conditions._weights import Weights
from controlnet.evaluation._networks.clip import LARGE, clip, clip_weights
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels


@final
class ClipScore(Averaged):
    """Cosine between CLIP's embeddings of picture and prompt, mean over pictures; an empty prompt has none.

    So the ControlNet paper's table has it (.26). `clip_score_percent` is 100 · max(cos, 0), as torchmetrics
    and ControlNet++ (there with "openai/clip-vit-base-patch16"); `clip_score_hessel` 2.5 · max(cos, 0), as
    Hessel et al. 2104.08718, eq. 1, without their "A photo depicts". model: a folder of transformers or a
    hub id; values of different models are not comparable.
    """

    title: ClassVar[str] = "How well the picture fits the prompt, as CLIP sees both"
    unit: ClassVar[str] = "cosine"
    higher_is_better: ClassVar[bool] = True
    columns: ClassVar[int] = 2
    weights: ClassVar[tuple[Weights, ...]] = (clip_weights(LARGE),)

    def __init__(self, model: str = LARGE) -> None:
        super().__init__()
        self._model = model

        @lru_cache(maxsize=1)  # several seeds of one prompt come one after another
        def told(text: str) -> Tensor:
            return clip(model).text(text)

        self._told = told

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row | None:
        """Compare a picture with its prompt."""
        if not caption.strip():
            return None
        cosine = float(clip(self._model).picture(picture) @ self._told(caption))
        return np.array([cosine, max(cosine, 0.0)])

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell the cosine and its two other scales."""
        cosine, positive = mean[:2]
        return {
            "clip_score": cosine,
            "clip_score_percent": 100 * positive,
            "clip_score_hessel": 2.5 * positive,
        }

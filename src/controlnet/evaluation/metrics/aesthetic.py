"""Aesthetic score: how much people would like the picture, as LAION's predictor guesses from CLIP."""

from pathlib import Path
from typing import ClassVar, final

import numpy as np

from controlnet.conditions._networks.load import filled, network, ready, tensors
from controlnet.conditions._weights import Weights
from controlnet.errors import SettingError
from controlnet.evaluation._networks.clip import (
    LARGE,
    PREDICTOR,
    LinearPredictor,
    Predictor,
    clip,
    clip_weights,
)
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels


@final
class Aesthetic(Averaged):
    """LAION's aesthetic score of a picture, about 1 to 10, mean over pictures.

    A small network on the unit embedding of CLIP ViT-L/14. predictor: a file where not in
    $CONTROLNET_WEIGHTS: the improved predictor (sac+logos+ava1-l14-linearMSE.pth, the default) or the first,
    linear one (sa_0_4_vit_l_14_linear.pth), told apart by their tensors; their scores are not comparable.
    model: CLIP ViT-L/14, a folder of transformers or a hub id. Source: Schuhmann et al. 2210.08402, sec. 4;
    the ControlNet paper's table has 6.31.
    """

    title: ClassVar[str] = "How much people would like the picture, as LAION's predictor guesses"
    unit: ClassVar[str] = "1 to 10"
    higher_is_better: ClassVar[bool] = True
    weights: ClassVar[tuple[Weights, ...]] = (PREDICTOR, clip_weights(LARGE))

    def __init__(self, predictor: str | None = None, model: str = LARGE) -> None:
        super().__init__()
        self._model = model
        self._own = None
        if predictor is not None:
            path = Path(predictor)
            if not path.is_file():
                raise SettingError(
                    f"got predictor={predictor!r}, where there is no file; wanted {PREDICTOR.name}"
                )
            state = tensors(path)
            kind = LinearPredictor if set(state) == {"weight", "bias"} else Predictor
            self._own = ready(filled(kind(), state, path.name))

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row:
        """Score a picture."""
        predictor = self._own or network(Predictor, PREDICTOR)
        return np.array([float(predictor(clip(self._model).picture(picture)))])

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell aesthetic."""
        return {"aesthetic": mean[0]}

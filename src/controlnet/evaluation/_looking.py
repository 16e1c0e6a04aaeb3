"""Pictures to features, through Inception or the embedded judge; each network loaded once."""

from functools import cache
from pathlib import Path
from typing import Final, TypeVar

from torch import nn

from controlnet.conditions._networks.load import filled, network, ready, tensors
from controlnet.conditions._weights import Weights
from controlnet.errors import SettingError
from controlnet.evaluation._sets import Extractor, Features
from controlnet.evaluation.metric import Pixels

M = TypeVar("M", bound=nn.Module)

RESIZES: Final = ("clean", "tensorflow")


def loaded(kind: type[M], weights: Weights, path: str | None) -> M:
    """Return a network with weights from a file, or from where weights lie; SettingError for no such file.

    Raises MissingWeights where there is none, CheckpointError for a file that does not fit exactly.
    """
    if path is None:
        return network(kind, weights)
    if not Path(path).is_file():
        raise SettingError(f"got weights={path!r}, where there is no file; wanted {weights.name}")
    return ready(filled(kind(), tensors(Path(path)), path))


@cache
def inception_features(resize: str, weights: str | None) -> Extractor:
    """Return Inception's 2,048 features."""
    from controlnet.evaluation._networks import inception

    brought = {"clean": inception.clean, "tensorflow": inception.tensorflow}[resize]
    if weights is not None:
        own = loaded(inception.Inception, inception.WEIGHTS, weights)
        return Extractor(lambda picture: inception.features(own, brought(picture)))

    def features(picture: Pixels) -> Features:
        # Asked for anew: what `place` and `forget` change must be seen.
        return inception.features(network(inception.Inception, inception.WEIGHTS), brought(picture))

    return Extractor(features)


@cache
def judge_features() -> Extractor:
    """Return the embedded judge's 96 features."""
    from controlnet.shapes.judge import embedded_judge

    return Extractor(lambda picture: embedded_judge().look([picture])[0])

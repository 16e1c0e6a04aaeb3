"""FID of the embedded world: the same distance, as the embedded judge sees the pictures."""

from typing import ClassVar, final

from controlnet.evaluation._frechet import FrechetDistance
from controlnet.evaluation._looking import judge_features


@final
class FIDShapes(FrechetDistance):
    """Fréchet distance of the embedded judge's features between the generated pictures and the true ones.

    Inception has never seen the embedded world; the judge has seen nothing else. Its 96 features are those
    of its narrowest layer, meant over the picture. The numbers are on a scale of their own and are not to be
    compared with any `fid`. With fewer than some hundred pictures they are too large: compare only sets of
    equal counts.
    """

    title: ClassVar[str] = (
        "Distance of the pictures, as a set, to the true ones (the embedded judge's features)"
    )

    def __init__(self) -> None:
        super().__init__("fid_shapes", judge_features(), resample=True)

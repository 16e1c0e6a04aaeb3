"""FID: how far the generated pictures are, as a set, from the true ones, as Inception sees them."""

from typing import ClassVar, final

from controlnet.conditions._weights import Weights
from controlnet.errors import SettingError
from controlnet.evaluation._frechet import FrechetDistance
from controlnet.evaluation._looking import RESIZES, inception_features
from controlnet.evaluation._networks.inception import WEIGHTS


@final
class FID(FrechetDistance):
    """Fréchet distance of Inception's features between the generated pictures and the true ones.

    Moments are streamed: 67 MB, however many pictures. resize: "clean", Pillow's bicubic as clean-fid
    (Parmar et al. 2104.11222), or "tensorflow", as torch-fidelity and the original. weights: a file, where
    not $CONTROLNET_WEIGHTS. No interval unless `resample`, which keeps the features and takes minutes. With
    fewer than some thousand pictures the value is far too large: compare only sets of equal counts. Source:
    Heusel et al. 1706.08500.
    """

    title: ClassVar[str] = "Distance of the pictures, as a set, to the true ones (Inception features)"
    weights: ClassVar[tuple[Weights, ...]] = (WEIGHTS,)

    def __init__(self, resize: str = "clean", weights: str | None = None, resample: bool = False) -> None:
        if resize not in RESIZES:
            raise SettingError(f"got resize={resize!r}; wanted {' or '.join(RESIZES)}")
        super().__init__("fid", inception_features(resize, weights), resample)

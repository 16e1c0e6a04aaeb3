"""KID: how far the generated pictures are, as a set, from the true ones, without the bias of FID."""

from typing import ClassVar, final

from controlnet.conditions._weights import Weights
from controlnet.errors import SettingError
from controlnet.evaluation._kernel import KernelDistance
from controlnet.evaluation._looking import RESIZES, inception_features
from controlnet.evaluation._networks.inception import WEIGHTS


@final
class KID(KernelDistance):
    """Kernel distance of Inception's features between the generated pictures and the true ones.

    Unbiased: its expectation is the same for few pictures as for many, and it may be below 0. It keeps
    2,048 numbers of each picture, since it compares each with each. resize, weights: as for `fid`. subsets,
    size: how many draws of how many pictures are averaged where there are more. Source: Bińkowski et al.
    1801.01401.
    """

    title: ClassVar[str] = (
        "Distance of the pictures, as a set, to the true ones, unbiased (Inception features)"
    )
    weights: ClassVar[tuple[Weights, ...]] = (WEIGHTS,)

    def __init__(
        self, resize: str = "clean", weights: str | None = None, subsets: int = 100, size: int = 1000
    ) -> None:
        if resize not in RESIZES:
            raise SettingError(f"got resize={resize!r}; wanted {' or '.join(RESIZES)}")
        super().__init__("kid", inception_features(resize, weights), subsets, size)

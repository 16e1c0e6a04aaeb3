"""KID of the embedded world: the unbiased distance, as the embedded judge sees the pictures."""

from typing import ClassVar, final

from controlnet.evaluation._kernel import KernelDistance
from controlnet.evaluation._looking import judge_features


@final
class KIDShapes(KernelDistance):
    """Kernel distance of the embedded judge's features between the generated pictures and the true ones.

    As `fid_shapes`, but unbiased: of few pictures the one to look at. Not to be compared with any `kid`.
    """

    title: ClassVar[str] = (
        "Distance of the pictures, as a set, to the true ones, unbiased (the embedded judge's features)"
    )

    def __init__(self, subsets: int = 100, size: int = 1000) -> None:
        super().__init__("kid_shapes", judge_features(), subsets, size)

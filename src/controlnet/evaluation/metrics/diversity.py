"""Diversity over seeds: how unlike the pictures are that one condition and one prompt give."""

from typing import ClassVar, final

from torch import Tensor

from controlnet.conditions._weights import Weights
from controlnet.evaluation._lpips import Eye
from controlnet.evaluation._networks.lpips import HEAD_WEIGHTS, TRUNK_WEIGHTS, distance
from controlnet.evaluation._pairs import Diversity


@final
class LpipsDiversity(Diversity[list[Tensor]]):
    """Mean LPIPS between the pictures of one condition and prompt from several seeds; mean over examples.

    Higher is more diverse; it is to be read beside adherence, which a generator could give up for it. net,
    trunk, heads: as for `lpips`. seeds: how many pictures each example has, where that is known: then only
    those of the example in work are kept. Source: as in Zhu et al. 1711.11586, sec. 5.
    """

    title: ClassVar[str] = "How unlike the pictures of several seeds are (LPIPS)"
    weights: ClassVar[tuple[Weights, ...]] = (*TRUNK_WEIGHTS.values(), *HEAD_WEIGHTS.values())

    def __init__(
        self,
        net: str = "alex",
        trunk: str | None = None,
        heads: str | None = None,
        seeds: int | None = None,
    ) -> None:
        super().__init__("diversity", Eye(net, trunk, heads), distance, seeds)

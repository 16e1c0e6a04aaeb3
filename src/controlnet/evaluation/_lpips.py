"""Pictures as LPIPS compares them."""

from typing import final

from torch import Tensor

from controlnet.errors import UnknownName
from controlnet.evaluation._looking import loaded
from controlnet.evaluation._networks.lpips import HEAD_WEIGHTS, HEADS, TRUNK_WEIGHTS, TRUNKS, embed
from controlnet.evaluation.metric import Pixels
from controlnet.nearest import unknown


@final
class Eye:
    """Trunk and heads of LPIPS, loaded when first looked through; UnknownName for a net that it has not."""

    def __init__(self, net: str = "alex", trunk: str | None = None, heads: str | None = None) -> None:
        if net not in TRUNKS:
            raise UnknownName(unknown("network of LPIPS", net, TRUNKS))
        self._net, self._files = net, (trunk, heads)
        self._loaded = None

    def __call__(self, picture: Pixels) -> list[Tensor]:
        """Return the maps of a picture whose squared distances add up to LPIPS."""
        if self._loaded is None:
            trunk, heads = self._files
            self._loaded = (
                loaded(TRUNKS[self._net], TRUNK_WEIGHTS[self._net], trunk),
                loaded(HEADS[self._net], HEAD_WEIGHTS[self._net], heads),
            )
        return embed(*self._loaded, picture)

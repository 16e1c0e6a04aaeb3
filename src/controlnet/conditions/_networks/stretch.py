"""What a depth map's values become: the whole range from 0 to 1."""

from jaxtyping import Float
from torch import Tensor


def stretched(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return values with the least at 0 and the greatest at 1; all 0 where they are all the same."""
    above = values - values.min()
    most = above.max()
    return above / most if most > 0 else above

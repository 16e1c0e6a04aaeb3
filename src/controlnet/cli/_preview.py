"""A picture that is looked at while it is made: a file that is replaced now and then."""

from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from controlnet.files import whole

if TYPE_CHECKING:
    from torch import Tensor

    from controlnet.backbones import Base

SHARE: Final = 5  # of the time goes into previews at most: one part in so many


class PreviewFile:
    """Decodes what is to be expected by now and writes it, whole, where the last time is long enough ago."""

    def __init__(self, base: "Base", path: Path) -> None:
        self._base, self._path = base, path
        self._next = 0.0

    def __call__(self, latents: "Tensor") -> None:
        """Take the expected latents of a batch, of which the first is shown."""
        from controlnet.sampling.images import to_pictures

        begun = monotonic()
        if begun < self._next:
            return
        decoded = self._base.decode_latents(latents[:1].to(self._base.dtype)).float().cpu()
        with whole(self._path) as part:
            to_pictures(decoded)[0].save(part)
        self._next = monotonic() + (SHARE - 1) * (monotonic() - begun)

"""The picture that a job begins from, and the part of it that is painted anew."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from controlnet.cli._job import Job
from controlnet.cli._maps import HOLES
from controlnet.errors import SettingError

if TYPE_CHECKING:
    import numpy as np

    from controlnet.conditions._base import Condition

Size = tuple[int, int]


@dataclass(frozen=True)
class Start:
    """Pixels (H, W, 3) uint8 of the picture and of its mask, None where there is none.

    old: the picture before it grew, None where it does not.
    """

    image: "np.ndarray | None" = None
    mask: "np.ndarray | None" = None
    old: "np.ndarray | None" = None

    @classmethod
    def of(cls, job: Job) -> Self:
        """Read what the job names, grown where it says so."""
        from controlnet.conditions._image import to_array
        from controlnet.sampling import extended
        from controlnet.sampling.repaint import SIDES

        image = None if job.image is None else to_array(job.image)
        if image is None or not job.outpaint:
            return cls(image, None if job.mask is None else to_array(job.mask))
        left, top, right, bottom = (job.outpaint.get(side, 0) for side in SIDES)
        canvas, mask = extended(image, left=left, top=top, right=right, bottom=bottom)
        return cls(to_array(canvas), to_array(mask), image)

    def sizes(self) -> "list[Size]":
        """Give the picture's width and height, if there is a picture."""
        return [] if self.image is None else [(self.image.shape[1], self.image.shape[0])]

    def region(self, size: Size, feather: int = 0) -> "np.ndarray | None":
        """Give the mask at the output's size, with a soft edge so many pixels wide."""
        from controlnet.conditions._image import to_array
        from controlnet.sampling import feathered
        from controlnet.sampling.images import resize_map

        if self.mask is None:
            return None
        mask = resize_map(self.mask, size)
        return to_array(feathered(mask, feather)) if feather else mask

    def photo(self, image: "np.ndarray", maker: "Condition | None", name: str) -> "np.ndarray":
        """Give a control's picture, which grows too where it is for inpainting.

        SettingError for another control of the size from before, which would be stretched.
        """
        if self.old is None or self.image is None or image.shape != self.old.shape:
            return image
        if maker is not None and maker.name() == HOLES:
            return self.image
        (old, new) = (f"{shape[1]}x{shape[0]}" for shape in (self.old.shape, self.image.shape))
        raise SettingError(
            f"the picture of --control {name} is of {old} pixels, as --image before it grows; wanted one of "
            f"the grown picture, {new}: a control for inpainting alone grows along, by --annotate {HOLES}"
        )

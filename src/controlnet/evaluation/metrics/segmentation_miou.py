"""Segmentation mIoU: does each class lie where the segmentation map has it?"""

from collections.abc import Sequence
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition as condition_named
from controlnet.errors import SettingError
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels


@final
class SegmentationMIoU(Averaged):
    """Mean over classes of intersection over union between the condition's classes and the picture's.

    Pixels are pooled over all pictures before any ratio is taken, and the mean is over the classes that
    either side has anywhere, as mmsegmentation and so ControlNet++ (2404.07987) have it.
    `segmentation_miou_asked` takes the mean over the conditions' classes alone, `segmentation_miou_accuracy`
    is the share of pixels whose class is right. A colour is a class, and the picture's map must come in the
    palette of the condition's; places whose condition has a colour of `ignore` do not count, by default
    black, which is no class of ADE20K's or COCO's.

    annotator: the condition that reads classes from a picture, such as "segmentation_oneformer_ade20k".
    """

    title: ClassVar[str] = "Classes where the segmentation map has them"
    unit: ClassVar[str] = "mean IoU, 0 to 1"
    higher_is_better: ClassVar[bool] = True
    columns: ClassVar[int] = 3

    def __init__(
        self,
        annotator: str = "segmentation_oneformer_ade20k",
        ignore: Sequence[Sequence[int]] = ((0, 0, 0),),
    ) -> None:
        super().__init__()
        self._draw = condition_named(annotator)
        colours = (
            np.array(ignore, dtype=np.int64).reshape(-1, 3) if len(ignore) else np.zeros((0, 3), np.int64)
        )
        if colours.min(initial=0) < 0 or colours.max(initial=0) > 255:
            raise SettingError(f"got ignore={ignore!r}; wanted colours such as [(0, 0, 0)]")
        self._ignored = _packed(colours)
        self._columns: dict[int, int] = {}

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row | None:
        """Count pixels: of each class those in both maps, in the picture's, in the condition's."""
        found, wanted = (_packed(array).ravel() for array in (self._draw(picture), condition))
        counted = ~np.isin(wanted, self._ignored)
        found, wanted = found[counted], wanted[counted]
        if not wanted.size:
            return None
        counts = [
            dict(zip(*(part.tolist() for part in np.unique(some, return_counts=True)), strict=True))
            for some in (wanted[found == wanted], found, wanted)
        ]
        for colour in sorted(set(counts[1]) | set(counts[2])):
            self._columns.setdefault(colour, len(self._columns))
        row = np.zeros((len(self._columns), 3))
        for side, table in enumerate(counts):
            for colour, number in table.items():
                row[self._columns[colour], side] = number
        return row.ravel()

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell both means over classes, and the share of pixels."""
        both, found, wanted = mean.reshape(-1, 3).T
        union = found + wanted - both
        with np.errstate(invalid="ignore"):
            ratios = both / union
            share = both.sum() / wanted.sum()
        # A resampled set may lack a class: what has no union says nothing.
        there, asked = union > 0, wanted > 0
        return {
            "segmentation_miou": _mean(ratios[there]),
            "segmentation_miou_asked": _mean(ratios[asked]),
            "segmentation_miou_accuracy": float(share),
        }


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _packed(colours: NDArray[np.integer]) -> NDArray[np.int64]:
    return colours.astype(np.int64) @ np.array([65536, 256, 1])

"""Attribute accuracy: does a picture of the embedded world show what its caption names?"""

from typing import ClassVar, Final, final

import numpy as np

from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels
from controlnet.shapes.attributes import missed, wanted
from controlnet.shapes.judge import embedded_judge, quality
from controlnet.shapes.palette import SOLIDS

_GROUPS: Final = {
    "solids": SOLIDS,
    "floor": ("floor",),
    "sky": ("sky",),
    "clothes": ("shirt", "trousers", "person"),
}


@final
class Attributes(Averaged):
    """Share of the captions' attributes that the pictures show, as the embedded judge reads them.

    An attribute is a solid with its colour, a floor, a sky, a shirt or trousers; all captions' attributes
    are pooled. `attributes_solids`, `_floor`, `_sky` and `_clothes` tell the same of a part of them, where
    the captions name any. `attributes_on_truth` is the judge's own measure: the same share on true pictures
    of held-out scenes; a perfect generator would reach that, not 1. NaN where the captions name nothing of
    the world.
    """

    title: ClassVar[str] = "Named things that the picture shows, as the embedded judge reads it"
    unit: ClassVar[str] = "share of the captions' attributes"
    higher_is_better: ClassVar[bool] = True
    columns: ClassVar[int] = 2 * len(_GROUPS)  # of each group what was found and what was asked for

    def __init__(self) -> None:
        super().__init__()
        self._judge = embedded_judge()

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row | None:
        """Look for the caption's attributes in a picture; the condition plays no part."""
        asked = wanted(caption)
        if not asked:
            return None
        lacking = missed(asked, self._judge.read([picture])[0])
        of_all, of_lacking = (
            np.array([sum(one.part in parts for one in some) for parts in _GROUPS.values()])
            for some in (asked, lacking)
        )
        return np.concatenate([of_all - of_lacking, of_all]).astype(np.float64)

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell the share of all attributes, that of each kind, and the judge's own on true pictures."""
        shown, asked = np.split(mean, 2)
        told = {"attributes": shown.sum() / asked.sum()}
        for group, found, of in zip(_GROUPS, shown, asked, strict=True):
            if of > 0:
                told[f"attributes_{group}"] = found / of
        return told | {"attributes_on_truth": quality()["attribute_accuracy"]}

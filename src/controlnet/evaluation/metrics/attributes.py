"""Attribute accuracy: does a picture of the embedded world show what its caption names?"""

from typing import ClassVar, Final, final

from controlnet.evaluation.metric import Metric, Pixels, check_pair, nothing_taken
from controlnet.shapes.attributes import Attribute, missed, wanted
from controlnet.shapes.judge import embedded_judge, quality
from controlnet.shapes.palette import SOLIDS

_GROUPS: Final = {
    "solids": SOLIDS,
    "floor": ("floor",),
    "sky": ("sky",),
    "clothes": ("shirt", "trousers", "person"),
}


@final
class Attributes(Metric):
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

    def __init__(self) -> None:
        self._judge = embedded_judge()
        self._taken = False
        self._asked: list[Attribute] = []
        self._missed: list[Attribute] = []

    def update(self, picture: Pixels, condition: Pixels, caption: str) -> None:
        """Look for the caption's attributes in a picture; the condition plays no part."""
        check_pair(picture, condition)
        self._taken = True
        asked = wanted(caption)
        if asked:
            self._asked += asked
            self._missed += missed(asked, self._judge.read([picture])[0])

    def compute(self) -> dict[str, float]:
        """Tell the share of all attributes, that of each kind, and the judge's own on true pictures."""
        if not self._taken:
            raise nothing_taken(self)
        every = {part for parts in _GROUPS.values() for part in parts}
        found = {"attributes": self._share(every)}
        named = {attribute.part for attribute in self._asked}
        for group, parts in _GROUPS.items():
            if named & set(parts):
                found[f"attributes_{group}"] = self._share(set(parts))
        return found | {"attributes_on_truth": quality()["attribute_accuracy"]}

    def _share(self, parts: set[str]) -> float:
        asked, lacking = (
            sum(attribute.part in parts for attribute in some) for some in (self._asked, self._missed)
        )
        return 1 - lacking / asked if asked else float("nan")

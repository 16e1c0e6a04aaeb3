"""What the conditions of the embedded world have in common: the judge reads the picture, they draw a map."""

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels

if TYPE_CHECKING:
    from controlnet.shapes.judge import Reading


class Judged(Condition):
    """A map of what the embedded judge sees. It has learned from rendered scenes alone, 128 pixels square."""

    family: ClassVar[Family] = "embedded world"
    paper: ClassVar[str] = "this package: its judge is trained by `controlnet shapes judge`"
    licence: ClassVar[str] = "Apache-2.0 (code and weights, both in this package)"

    resolution: int | None = Field(
        default=128,
        ge=64,
        le=4096,
        description="short side in pixels at which the judge works; None: the picture's own",
    )

    @abstractmethod
    def draw(self, seen: "Reading") -> Pixels:
        """Return the map of what the judge has seen."""

    @final
    def detect(self, image: Pixels) -> Pixels:
        """Return the map of a picture of the embedded world."""
        from controlnet.shapes.judge import embedded_judge

        [seen] = embedded_judge().read([image])
        return self.draw(seen)

"""What every condition is: a frozen, self-describing setting that turns a picture into a control map."""

from abc import ABC, abstractmethod
from typing import ClassVar, final

from pydantic import BaseModel, ConfigDict, Field

from controlnet.conditions._image import Pixels, resized, to_array
from controlnet.errors import DataError, ShapeError

# A strip of 1×4000 pixels at a resolution of 512 would become 512×2,048,000: no detector is meant for that.
_LARGEST = 64_000_000


class Condition(BaseModel, ABC):
    """A kind of control map and its settings, as one declaration.

    From the fields, each bounded and described, come the Python constructor, the text form "canny(low=50)",
    the command line, and the JSON schema (hence sliders and HTTP). A subclass in a file of its own, beside
    this one, is all that a new condition takes: it declares the class variables and its fields, and writes
    `detect`. Instances are frozen, hashable and hold no state.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: ClassVar[str]
    """One line for a person: what the map shows."""
    paper: ClassVar[str]
    """Where the method comes from: authors, title, year or number."""
    licence: ClassVar[str]
    """Licence of the method's code and weights, as far as it binds the user."""
    weights: ClassVar[str | None] = None
    """The weight file that the method needs; None where it needs none."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names, among them those by which other tools call the same map."""
    label_map: ClassVar[bool] = False
    """True where colours mean edges or classes: such a map is resized by nearest neighbour, never blended."""

    resolution: int | None = Field(
        default=None,
        ge=64,
        le=4096,
        description="short side in pixels at which the detector works; None: the picture's own",
    )

    @classmethod
    def name(cls) -> str:
        """Return the name by which the registry finds this condition; a third party's is its address."""
        package, _, module = cls.__module__.rpartition(".")
        return module if package == "controlnet.conditions" else f"{cls.__module__}:{cls.__qualname__}"

    @abstractmethod
    def detect(self, image: Pixels) -> Pixels:
        """Return the control map of a picture, both uint8 of H×W×3 and of the same size.

        The picture must not be written to, and the same picture must always give the same map.
        """

    @final
    def __call__(self, image: Pixels) -> Pixels:
        """Return the control map, uint8 of H×W×3, of a picture, uint8 of H×W×3 in RGB, at the picture's size.

        With `resolution` set the picture is first resized so that its short side has that many pixels, and
        the map is resized back. Raises DataError for other pictures (`annotate` takes any kind), and
        ShapeError where a condition breaks its promise of shape and type.
        """
        height, width = self._size_of(image)
        scale = self.resolution / min(height, width) if self.resolution else 1.0
        tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
        if self.resolution and tall * wide > _LARGEST:
            mend = "choose a smaller resolution or crop the picture"
            raise DataError(
                f"a picture of {width}×{height} at resolution={self.resolution} is {wide}×{tall}; {mend}"
            )
        found = self.detect(resized(image, wide, tall))
        if found.shape != (tall, wide, 3) or found.dtype != "uint8":
            wanted = f"uint8 {(tall, wide, 3)}"
            raise ShapeError(f"{self.name()} returned a map of {found.dtype} {found.shape}; wanted {wanted}")
        return resized(found, width, height, self.label_map)

    def _size_of(self, image: Pixels) -> tuple[int, int]:
        usable = (
            getattr(image, "dtype", None) == "uint8"
            and image.ndim == 3
            and image.shape[2] == 3
            and image.size
        )
        if not usable:
            got = f"{getattr(image, 'dtype', type(image).__name__)} {getattr(image, 'shape', '')}".strip()
            mend = f"controlnet.annotate({self.name()!r}, image) takes any kind of picture"
            raise DataError(f"{self.name()} got {got}; wanted a uint8 array of H×W×3; {mend}")
        return image.shape[0], image.shape[1]

    def __str__(self) -> str:
        """Return the text form, such as "canny(low=50)": the name and what differs from the defaults."""
        changed = self.model_dump(exclude_defaults=True)
        settings = ", ".join(f"{field}={value!r}" for field, value in changed.items())
        return f"{self.name()}({settings})" if settings else self.name()


__all__ = ["Condition", "Pixels", "to_array"]

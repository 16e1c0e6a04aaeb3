"""What every condition is: a frozen, self-describing setting that turns a picture into a control map."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field

from controlnet import registry
from controlnet.conditions._image import Fit, Pixels, padded, pixel_perfect_resolution, resized, to_array
from controlnet.conditions._weights import Weights
from controlnet.errors import DataError, ShapeError

# A picture of 1×40 pixels at a resolution of 512 would become 512×20,480: an enlarged strip stays below this
# many squares of the resolution, and below this many pixels.
_SQUARES, _LARGEST = 16, 64_000_000

Family = Literal[
    "edges",
    "lines",
    "depth",
    "normals",
    "pose",
    "segmentation",
    "colour and layout",
    "embedded world",
    "other",
]

# Conditions that work at a resolution of their own declare this field anew, with their default.
Resolution = Annotated[
    int | None,
    Field(
        ge=64,
        le=4096,
        description="short side in pixels at which the detector works; None: the picture's own",
    ),
]


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
    family: ClassVar[Family] = "other"
    """Among which others a person looks for it."""
    paper: ClassVar[str]
    """Where the method comes from: authors, title, year or number."""
    licence: ClassVar[str]
    """Licence of the method's code and weights, as far as it binds the user."""
    weights: ClassVar[tuple[Weights, ...]] = ()
    """The weight files that the method needs, of which it may need only some; none where it needs none."""
    aliases: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Other names, among them those by which other tools call the same map, each with its text form."""
    multiple: ClassVar[int] = 1
    """What the sides of a picture must be multiples of for `detect`; edge pixels fill up what is lacking."""
    label_map: ClassVar[bool] = False
    """True where colours mean edges or classes: such a map is resized by nearest neighbour, never blended."""

    resolution: Resolution = None

    @classmethod
    def name(cls) -> str:
        """Return the name by which the registry finds this condition; a third party's is its address."""
        return registry.name_of("conditions", cls)

    @abstractmethod
    def detect(self, image: Pixels) -> Pixels:
        """Return the control map of a picture, both uint8 of H×W×3 and of the same size.

        The picture must not be written to, and the same picture must always give the same map.
        """

    @final
    def __call__(self, image: Pixels) -> Pixels:
        """Return the control map, uint8 of H×W×3, of a picture, uint8 of H×W×3 in RGB, at the picture's size.

        The map of `prepare`d pixels is cropped and resized back. Raises DataError for other pictures
        (`annotate` takes any kind), and ShapeError where a condition breaks its promise of shape and type.
        """
        given, tall, wide = self.prepare(image)
        shape = given.shape
        found = self.detect(given)
        if found.shape != shape or found.dtype != "uint8":
            wanted = f"uint8 {shape}"
            raise ShapeError(f"{self.name()} returned a map of {found.dtype} {found.shape}; wanted {wanted}")
        return resized(found[:tall, :wide], image.shape[1], image.shape[0], self.label_map)

    @final
    def prepare(self, image: Pixels) -> tuple[Pixels, int, int]:
        """Return the picture as `detect` gets it, in new memory, and its height and width without padding.

        With `resolution` set the picture is first resized so that its short side has that many pixels (fewer
        where a strip would become huge); then its edge pixels are repeated at the right and bottom until both
        sides are multiples of `multiple`. Raises DataError for other pictures than uint8 of H×W×3.
        """
        height, width = self._size_of(image)
        scale = self.resolution / min(height, width) if self.resolution else 1.0
        if self.resolution and scale > 1:
            most = min(_LARGEST, _SQUARES * self.resolution**2)
            scale = max(1.0, min(scale, (most / (height * width)) ** 0.5))
        tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
        return padded(resized(image, wide, tall), self.multiple), tall, wide

    @final
    def pixel_perfect(self, size: tuple[int, int], target: tuple[int, int], fit: Fit) -> Self:
        """Return this condition at the resolution at which its map will be used.

        `size` and `target` are height and width of the picture and of what will be generated; `fit` tells how
        the map will be brought from one to the other.
        """
        return self.model_copy(update={"resolution": pixel_perfect_resolution(size, target, fit)})

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


__all__ = ["Condition", "Family", "Pixels", "Resolution", "to_array"]

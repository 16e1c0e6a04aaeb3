"""What every captioner is: a frozen, self-describing setting that turns a picture into a line of text."""

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from controlnet import registry
from controlnet.conditions._image import Pixels


class Captioner(BaseModel, ABC):
    """A way to caption pictures and its settings; a subclass in a file beside this one is all it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: ClassVar[str]
    """One line for a person: what the captions are like."""
    paper: ClassVar[str]
    """Where the method comes from."""
    licence: ClassVar[str]
    """Licence of the method's code and weights."""

    @abstractmethod
    def caption(self, image: Pixels) -> str:
        """Return the caption of a picture, uint8 of H×W×3 in RGB; the same for the same picture."""

    @abstractmethod
    def ready(self) -> None:
        """Check that what the captioner needs is on this machine; raises MissingWeights."""

    def __str__(self) -> str:
        """Return the text form: the name and what differs from the defaults."""
        changed = self.model_dump(exclude_defaults=True)
        name = registry.name_of("captioners", type(self))
        return (
            f"{name}({', '.join(f'{key}={value!r}' for key, value in changed.items())})" if changed else name
        )

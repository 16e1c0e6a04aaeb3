"""How a data set is built: what is kept, what is made of it, and how it is written."""

from typing import Any, Literal, Self, final

from pydantic import BaseModel, ConfigDict, Field, model_validator

from controlnet.conditions._ranges import Spread, spread


@final
class Recipe(BaseModel):
    """All that the result depends on beside the pictures; see `controlnet dataset build --help`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    condition: str = Field(description='control map, such as "canny(low=50..150, high=150..250)"')
    seed: int = Field(default=0, ge=0, description="where the random settings begin")
    captioner: str | None = Field(default=None, description="who captions what comes without, such as blip")
    missing_caption: Literal["skip", "empty"] = Field(
        default="skip", description="whether a picture without a caption is left out, or has an empty one"
    )
    least_side: int = Field(default=64, ge=1, le=65536, description="least short side in pixels")
    narrowest: float = Field(default=0.25, gt=0, description="least width / height")
    widest: float = Field(default=4.0, gt=0, description="greatest width / height")
    blank: float = Field(
        default=2.0, ge=0, le=255, description="a picture whose grey deviates by less than this is blank"
    )
    near: int | None = Field(
        default=4,
        ge=0,
        le=6,
        description="bits of 64 in which hashes of pictures taken for the same may differ; None: all stay",
    )
    short_side: int | None = Field(
        default=None, ge=16, le=16384, description="pictures are shrunk to this short side in pixels"
    )
    store: Literal["keep", "png", "jpg"] = Field(
        default="keep",
        description="the picture's own file where it needs no change, else PNG; always PNG; always JPEG",
    )
    layout: Literal["imagefolder", "webdataset"] = Field(default="imagefolder", description="form on disk")
    per_shard: int = Field(default=1000, ge=1, le=1_000_000, description="examples in a shard")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.narrowest > self.widest:
            raise ValueError(
                f"aspect from {self.narrowest:g} to {self.widest:g} runs backwards; wanted the least first"
            )
        return self

    def spread(self) -> Spread:
        """Read the condition; raises SettingError and UnknownName."""
        return spread(self.condition)

    def identity(self) -> dict[str, Any]:
        """Return what a set that is continued must have been begun with."""
        return self.model_dump(mode="json")

"""What the jobs API takes and gives, as types: the OpenAPI description is made of these."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

from controlnet.conditions._image import Fit
from controlnet.errors import SettingError
from controlnet.service import Annotate, Engine, Generate, Job, Limits, SecondPass, Unit
from controlnet.service.pictures import read_picture
from controlnet.service.seeds import drawn


def printable(text: str) -> str:
    """Leave out control characters, which no prompt means and no PNG's text can hold."""
    return "".join(c for c in text if c in "\n\t" or (ord(c) >= 32 and ord(c) != 127))


Text = Annotated[str, AfterValidator(printable)]
Encoded = Annotated[
    str,
    Field(description="a picture: PNG, JPEG, WebP, BMP or GIF as base64, raw or as a data URI", min_length=1),
]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ControlIn(_In):
    """A control: which ControlNet, its picture, and how it takes part (docs/sampling.md)."""

    controlnet: str = Field(description="a name of GET /v1/catalog", examples=["canny"])
    image: Encoded
    annotate: str | None = Field(
        default=None,
        description='condition that makes the map, such as "canny(low=50)"; null where image is a map',
    )
    weight: Finite | str = Field(default=1.0, description='a number, or a schedule such as "0:1|0.6:0.2"')
    start: float = Field(default=0.0, ge=0, le=1)
    end: float = Field(default=1.0, ge=0, le=1)
    mode: str = Field(default="balanced", description="balanced, prompt, control or unbalanced")
    mask: Encoded | None = Field(default=None, description="the control acts where this is white")
    fit: Fit = Field(default="crop", description="how the picture is brought to the output's size")
    rule: str = Field(default="diffusers", description="which steps start and end mean: diffusers or webui")
    law: str | None = Field(default=None, description="of soft weights: cldm, diffusers or paper")
    taps: str | None = Field(default=None, description="weights by tap: middle:0.5|skip0:0")

    def unit(self, field: str, most: int) -> Unit:
        """Read the pictures."""
        return Unit(
            self.controlnet,
            read_picture(self.image, f"{field}.image", most),
            self.annotate,
            self.weight,
            self.start,
            self.end,
            self.mode,
            None if self.mask is None else read_picture(self.mask, f"{field}.mask", most),
            self.fit,
            self.rule,
            self.law,
            self.taps,
        )


class SecondIn(_In):
    """A second pass at a larger size."""

    scale: Finite = Field(default=2.0, gt=1, le=8)
    strength: Finite = Field(default=0.55, gt=0, le=1)
    steps: int | None = Field(default=None, ge=1)
    upscaler: Literal["lanczos", "bicubic", "latent"] = "lanczos"


class _JobIn(_In):
    deadline: Finite | None = Field(
        default=None, gt=0, description="seconds after which the job is given up; at most the service's own"
    )
    while_watched: bool = Field(
        default=False, description="end the job when the last reader of its events leaves"
    )


class GenerateIn(_JobIn):
    """Pictures of one prompt; picture k has seed + k, and is the same alone or in company."""

    kind: Literal["generate"] = "generate"
    prompt: Text
    negative_prompt: Text = ""
    base: str | None = Field(default=None, description="a name of GET /v1/catalog; null is the first one")
    controls: list[ControlIn] = Field(default_factory=list[ControlIn])
    steps: int = Field(default=20, ge=1)
    guidance_scale: Finite = Field(default=7.5, ge=0, le=100)
    guidance_rescale: Finite = Field(default=0.0, ge=0, le=1)
    seed: int | None = Field(default=None, ge=0, lt=2**62, description="null draws one, which is reported")
    count: int = Field(default=1, ge=1)
    sampler: str = "dpm++2m"
    width: int | None = Field(
        default=None, ge=8, description="null: that of the first control, or the base's"
    )
    height: int | None = Field(default=None, ge=8)
    clip_skip: int | None = Field(default=None, ge=1)
    image: Encoded | None = Field(default=None, description="begin from this picture")
    mask: Encoded | None = Field(default=None, description="paint anew only what is white here")
    strength: Finite = Field(default=1.0, gt=0, le=1, description="how far to leave the image")
    fit: Fit = Field(default="stretch", description="how image and mask are brought to the output's size")
    second: SecondIn | None = Field(default=None, description="a second pass at a larger size")
    preview: bool = Field(default=False, description="show the picture while it is made")

    def request(self, engine: Engine) -> Generate:
        """Read the pictures and draw what is to be drawn."""
        limits = engine.limits
        _few(self.controls, limits)
        most = limits.picture_pixels
        second = self.second
        return Generate(
            base=self.base or engine.catalog.bases[0].name,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            units=tuple(control.unit(f"controls[{k}]", most) for k, control in enumerate(self.controls)),
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            guidance_rescale=self.guidance_rescale,
            clip_skip=self.clip_skip,
            sampler=self.sampler,
            seed=drawn(self.seed),
            count=self.count,
            width=self.width,
            height=self.height,
            image=None if self.image is None else read_picture(self.image, "image", most),
            mask=None if self.mask is None else read_picture(self.mask, "mask", most),
            strength=self.strength,
            fit=self.fit,
            second=None if second is None else SecondPass(**second.model_dump()),
            preview=self.preview,
        )


class AnnotateIn(_JobIn):
    """Control maps of pictures, at their own sizes."""

    kind: Literal["annotate"]
    condition: str = Field(description='such as "canny" or "canny(low=50)"; GET /v1/catalog has them all')
    images: list[Encoded] = Field(min_length=1)
    keypoints: bool = Field(default=False, description="of pose conditions: OpenPose's JSON besides")

    def request(self, engine: Engine) -> Annotate:
        """Read the pictures."""
        limits = engine.limits
        _few(self.images, limits)
        pictures = [
            read_picture(image, f"images[{k}]", limits.picture_pixels) for k, image in enumerate(self.images)
        ]
        return Annotate(self.condition, tuple(pictures), self.keypoints)


def _kind(told: Any) -> str:
    """Say which kind of job a body means; without "kind" it is pictures."""
    return str(told.get("kind", "generate") if isinstance(told, dict) else getattr(told, "kind", ""))


JobIn = Annotated[
    Annotated[GenerateIn, Tag("generate")] | Annotated[AnnotateIn, Tag("annotate")], Discriminator(_kind)
]


def _few(items: list[Any], limits: Limits) -> None:
    """Refuse, before any of them is read, more pictures than any request may have."""
    if len(items) > max(limits.controls, limits.pictures):
        raise SettingError(f"got {len(items)} pictures; wanted at most {limits.pictures} here")


class PictureView(BaseModel):
    """A picture that is made, and where it is."""

    url: str
    seed: int


class Failure(BaseModel):
    """Why a job failed."""

    error: str
    detail: str


class JobView(BaseModel):
    """A job as it stands."""

    id: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    position: int | None = Field(description="jobs that wait before it; null once it does not wait")
    step: int
    steps: int = Field(description="calls of the networks in all; 0 until they are counted")
    progress: float = Field(ge=0, le=1)
    pictures: list[PictureView]
    maps: list[str] = Field(description="where the control maps are, in the order of the controls")
    poses: list[Any] = Field(description="OpenPose's JSON of each picture, where it was wanted")
    preview: str | None = Field(description="where the picture in work is, as it is to be expected by now")
    interrupted: bool = Field(description="ended early, at the client's wish")
    error: Failure | None
    settings: dict[str, Any] = Field(description="how the first picture was made, once it is done")
    created: float = Field(description="seconds since 1970")

    @classmethod
    def of(cls, engine: Engine, job: Job) -> Self:
        """Look at a job."""
        here, failure = f"/v1/jobs/{job.id}", job.failure
        return cls(
            id=job.id,
            state=job.state,
            position=engine.position(job),
            step=job.step,
            steps=job.steps,
            progress=job.progress,
            pictures=[
                PictureView(url=f"{here}/pictures/{k}", seed=made.seed)
                for k, made in enumerate(list(job.pictures))
            ],
            maps=[f"{here}/maps/{k}" for k in range(len(job.maps))],
            poses=job.poses,
            preview=f"{here}/preview?{job.preview_number}" if job.preview else None,
            interrupted=job.interrupted,
            error=None if failure is None else Failure(error=failure.kind, detail=str(failure)),
            settings=job.told.get("record", {}),
            created=job.created,
        )

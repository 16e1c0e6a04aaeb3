"""What clients send in the dialect; unknown fields are ignored, null means the default."""

from typing import Annotated, Any, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from controlnet.api.models import Encoded, Finite, Text

Flag = bool
Name = Annotated[str, Field(max_length=500)]


def _absent(value: Any) -> Any:
    """Take an empty text for no picture, and the picture and mask of an object or pair apart."""
    return None if isinstance(value, str) and not value.strip() else value


Optional = Annotated[Encoded | None, BeforeValidator(_absent)]


class Lenient(BaseModel):
    """A body of which only what is known counts."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item for key, item in value.items() if item is not None}
        return value


class Pair(Lenient):
    """A picture with its mask."""

    image: Optional = None
    mask: Optional = None


class UnitIn(Lenient):
    """A unit of the ControlNet extension."""

    enabled: Flag = True
    module: Name = "none"
    model: Name = "None"
    image: Optional | Pair | list[Optional] = Field(
        default=None, validation_alias=AliasChoices("image", "input_image")
    )
    mask: Optional = Field(default=None, validation_alias=AliasChoices("mask", "mask_image"))
    effective_region_mask: Optional = None
    weight: Finite = 1.0
    guidance_start: Finite = 0.0
    guidance_end: Finite = Field(default=1.0, validation_alias=AliasChoices("guidance_end", "guidance"))
    resize_mode: int | Name = "Crop and Resize"
    control_mode: int | Name = "Balanced"
    processor_res: Finite = -1
    threshold_a: Finite = -1
    threshold_b: Finite = -1
    pixel_perfect: Flag = False
    hr_option: Name = "Both"
    save_detected_map: Flag = True

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """Bring the three ways of writing picture and mask to one."""
        image = self.image
        if isinstance(image, list):
            if len(image) > 2:
                raise ValueError(f"image is a list of {len(image)}; wanted a picture and its mask")
            image = Pair.model_construct(
                image=(image or [None])[0], mask=image[1] if len(image) > 1 else None
            )
        if isinstance(image, Pair):
            self.mask = self.mask or image.mask
            self.image = image.image
        return self


class Script(Lenient):
    """The arguments of a script that always runs."""

    args: list[Any] = Field(default_factory=list[Any], max_length=100)


class Overrides(Lenient):
    """Options for one request."""

    sd_model_checkpoint: Name | None = None
    CLIP_stop_at_last_layers: int | None = Field(default=None, ge=1, le=12)


class GenerationIn(Lenient):
    """What txt2img and img2img have in common."""

    prompt: Text = ""
    negative_prompt: Text = ""
    steps: int = Field(default=50, ge=1)
    cfg_scale: Finite = Field(default=7.0, ge=0, le=100)
    width: int = Field(default=512, ge=8)
    height: int = Field(default=512, ge=8)
    batch_size: int = Field(default=1, ge=1, le=1000)
    n_iter: int = Field(default=1, ge=1, le=1000)
    seed: int = Field(default=-1, ge=-1, lt=2**62)
    subseed: int = -1
    subseed_strength: Finite = 0.0
    sampler_name: Name | None = None
    sampler_index: Name | None = None
    scheduler: Name = "Automatic"
    restore_faces: Flag = False
    tiling: Flag = False
    denoising_strength: Finite = Field(default=0.75, ge=0, le=1)
    override_settings: Overrides = Field(default_factory=Overrides)
    script_name: Name = ""
    alwayson_scripts: dict[str, Script] = Field(default_factory=dict[str, Script], max_length=100)
    send_images: Flag = True


class Txt2ImgIn(GenerationIn):
    """A request for pictures from a prompt."""

    enable_hr: Flag = False
    hr_scale: Finite = Field(default=2.0, ge=1, le=8)
    hr_upscaler: Name = "Latent"
    hr_second_pass_steps: int = Field(default=0, ge=0)
    hr_resize_x: int = Field(default=0, ge=0)
    hr_resize_y: int = Field(default=0, ge=0)


class Img2ImgIn(GenerationIn):
    """A request for pictures from a picture."""

    init_images: list[Encoded] = Field(min_length=1, max_length=100)
    mask: Optional = Field(default=None, validation_alias=AliasChoices("mask", "mask_image"))
    resize_mode: int = Field(default=0, ge=0, le=3)
    mask_blur: int = Field(default=4, ge=0, le=256)
    inpainting_fill: int = Field(default=0, ge=0, le=3)
    inpaint_full_res: Flag = True
    inpaint_full_res_padding: int = Field(default=0, ge=0, le=4096)
    inpainting_mask_invert: int = Field(default=0, ge=0, le=1)


class DetectIn(Lenient):
    """A request for control maps."""

    controlnet_module: Name = "none"
    controlnet_input_images: list[Encoded] = Field(
        default_factory=list[str],
        max_length=1000,
        validation_alias=AliasChoices("controlnet_input_images", "controlnet_images"),
    )
    controlnet_processor_res: Finite = -1
    controlnet_threshold_a: Finite = -1
    controlnet_threshold_b: Finite = -1
    low_vram: Flag = False

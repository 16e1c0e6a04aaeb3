"""The sections of a plan: for each key its type, its bounds, its default and what it means."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

GENERATORS = ("shapes", "circles")  # data drawn on the fly; any other source is a folder


class Section(BaseModel):
    """A part of a plan: frozen, with no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Control(Section):
    """What is trained: the copy of the base's encoder, its hint encoder and its zero convolutions."""

    hint: Literal["published", "paper", "unshuffle", "centred", "vae"] = Field(
        default="published",
        description="Hint encoder: of the published weights, of the paper's text, or pixel-unshuffle; "
        "centred: the last of the map less its mean, for depth and other maps that are bright all over; "
        "vae: of the condition's latents, which the base encodes.",
    )
    init: Literal["zero", "gaussian"] = Field(
        default="zero", description="Start of the zero convolutions (an ablation)."
    )
    extent: Literal["full", "lite"] = Field(
        default="full",
        alias="copy",
        description="The whole encoder is copied, or one convolution a block (an ablation).",
    )
    connect: Literal["all", "middle"] = Field(
        default="all",
        description="Connections into the base: all, or only the middle one (docs/evidence.md).",
    )
    global_pool: bool = Field(
        default=False, description="Mean over height and width of every residual (shuffle)."
    )
    start_from: str | None = Field(
        default=None,
        description="ControlNet whose training goes on here: a checkpoint, or the folder of a run.",
    )


class Data(Section):
    """What it is trained on: pictures, their condition maps and captions."""

    source: str = Field(min_length=1, description='A data set folder, or a generator: "shapes" or "circles".')
    condition: str | None = Field(
        default=None,
        description='Condition made from the pictures, e.g. "canny(low=50)"; none: the maps of the source.',
    )
    count: int | None = Field(
        default=None, ge=2, description="Examples drawn by a generator, held-out ones included."
    )
    seed: int = Field(default=0, ge=0, description="Seed of a generator's world.")
    size: int | None = Field(
        default=None, ge=8, multiple_of=8, description="Side in pixels; none: the base's own."
    )
    buckets: int | None = Field(
        default=None,
        ge=8,
        multiple_of=8,
        description="Train in the pictures' own aspect ratios, sides multiples of this (64 suits Stable "
        "Diffusion), with no more pixels than the square; none: squares.",
    )
    aspect: float = Field(
        default=2.0, ge=1, le=8, description="Longest side of a bucket, in units of its shortest."
    )
    flip: bool = Field(
        default=False,
        description="Mirror half of the examples; not for captions with sides, stored poses or normals.",
    )
    loss_mask: bool = Field(
        default=False,
        description='Weigh the loss by the pictures in the column "mask": white counts, black does not.',
    )
    held_out: int = Field(
        default=32, ge=2, description="Last examples, kept out of training: gain, adherence, previews."
    )
    cache: Literal["auto", "memory", "disk", "none"] = Field(
        default="auto",
        description="Keep latents and caption embeddings; auto: in memory where they take under 4 GB and the "
        "encoders are small, else on the disk where it has room and the run sees its data more than once.",
    )
    cache_folder: str | None = Field(
        default=None,
        min_length=1,
        description="Where a cache on the disk lies, for all runs alike; none: $CONTROLNET_CACHE or "
        "~/.cache/controlnet/encoded.",
    )

    @model_validator(mode="after")
    def _count_where_it_means_something(self) -> Self:
        if self.source in GENERATORS and self.count is None:
            raise ValueError(
                f"count is missing; source {self.source!r} is drawn: say how many, such as count: 5000"
            )
        if self.source not in GENERATORS and self.count is not None:
            raise ValueError(
                f"count is only for {' and '.join(GENERATORS)}; a folder has the examples that it has"
            )
        if self.source in GENERATORS and (self.buckets is not None or self.loss_mask):
            raise ValueError(
                "buckets and loss_mask are for folders; what a generator draws is square and has no mask"
            )
        if self.buckets is not None and self.size is not None and self.size % self.buckets:
            raise ValueError(
                f"size is {self.size} and buckets {self.buckets}; wanted a size that is a multiple of it"
            )
        return self


class ObjectivePart(Section):
    """What is minimised: the base's own objective, on which timesteps and with how many prompts."""

    prompt_dropout: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of captions replaced by the empty one, drawn anew every time (sec. 3.3).",
    )
    timesteps: Literal["uniform", "power"] = Field(
        default="uniform", description="Uniform as in the paper, or u^exponent · T, towards the noisy end."
    )
    exponent: float = Field(
        default=0.5, gt=0, le=1, description="Exponent of the power distribution; 1 is uniform."
    )
    weighting: Literal["none", "min_snr"] = Field(
        default="none",
        description="Weight of a timestep's loss: none as in the paper, or min(SNR, gamma) on the error of "
        "the picture (Hang et al. 2303.09556).",
    )
    gamma: float = Field(default=5.0, gt=0, description="Largest signal-to-noise ratio that min_snr counts.")
    noise_offset: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Noise added that is one number for each channel, for darker and lighter pictures.",
    )


class Optim(Section):
    """AdamW over the ControlNet; hint encoder and zero convolutions have learning rates of their own."""

    lr: float = Field(
        default=1e-5, gt=0, le=1, description="Learning rate of the copy; 1e-5 in the published trainer."
    )
    multiplier: float = Field(
        default=1.0, gt=0, description="hint_lr and zero_lr, where not given, are lr times this."
    )
    hint_lr: float | None = Field(default=None, gt=0, le=1, description="Learning rate of the hint encoder.")
    zero_lr: float | None = Field(
        default=None, gt=0, le=1, description="Learning rate of the zero convolutions."
    )
    decoder_lr: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Learning rate of the base's decoder where a phase unlocks it; none: lr.",
    )
    betas: tuple[float, float] = Field(
        default=(0.9, 0.999), description="Decay of AdamW's two moments, each in [0, 1)."
    )
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW's decoupled weight decay.")
    eps: float = Field(default=1e-8, gt=0, description="AdamW's denominator floor.")
    clip: float | None = Field(
        default=1.0, gt=0, description="Largest norm of the gradient; none: not clipped."
    )
    warmup: int = Field(default=0, ge=0, description="Steps over which the learning rates rise from zero.")
    schedule: Literal["constant", "cosine"] = Field(
        default="constant",
        description="After the warm-up: constant as published, or a cosine down to a tenth.",
    )
    batch: int = Field(default=4, ge=1, description="Examples in one pass, over all processes.")
    accumulation: int = Field(default=1, ge=1, description="Passes in one optimizer step.")
    checkpointing: bool | Literal["copy", "base"] = Field(
        default=False,
        description="Recompute activations on the way back, of the copy, of the base or (true) of both: less "
        "memory, more time.",
    )
    kind: Literal["adamw", "adamw8bit"] = Field(
        default="adamw", description="AdamW, or with moments of eight bits (bitsandbytes; extra `lowbit`)."
    )
    fused: bool = Field(
        default=True,
        description="Update all parameters in one kernel (adamw; other kinds do so anyway): faster, "
        "and the same result up to rounding.",
    )

    @model_validator(mode="after")
    def _moments(self) -> Self:
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(
                f"betas are {self.betas}; wanted two numbers from 0 to under 1, such as [0.9, 0.999]"
            )
        return self


class EmaPart(Section):
    """A running mean of the weights, which is what is then measured, previewed and delivered."""

    decay: float | None = Field(
        default=None, gt=0, lt=1, description="Decay a step, e.g. 0.999; none: no running mean."
    )


class WatchPart(Section):
    """What is measured on the held-out examples while training; 0 steps switches an instrument off."""

    gain_every: int = Field(default=50, ge=0, description="Steps between measurements of the control gain.")
    gain_samples: int = Field(default=32, ge=2, description="Held-out examples that the gain is measured on.")
    adherence: str | None = Field(default=None, description='Metric of how far samples obey, e.g. "edge_f1".')
    adherence_every: int = Field(
        default=500, ge=0, description="Steps between measurements of the adherence."
    )
    preview_every: int = Field(default=500, ge=0, description="Steps between contact sheets.")
    samples: int = Field(
        default=8, ge=2, description="Held-out examples that are sampled for adherence and previews."
    )
    sample_steps: int = Field(default=20, ge=1, le=1000, description="Sampling steps.")
    guidance_scale: float = Field(default=4.0, ge=1, description="Classifier-free guidance of these samples.")
    mode: Literal["balanced", "prompt", "control", "unbalanced"] = Field(
        default="balanced",
        description="Control mode of these samples; unbalanced: guidance leads towards the condition, too.",
    )
    divergence: float = Field(
        default=5.0,
        ge=0,
        description="The run stops where its loss stays above this many times its level; 0: only where it is "
        "no number.",
    )
    page: bool = Field(
        default=True, description="A page to look at in the run's folder, index.html, kept up to date."
    )
    tensorboard: bool = Field(default=False, description="Curves for TensorBoard too, in the run's folder.")
    wandb: bool = Field(
        default=False,
        description="Curves and contact sheets for Weights & Biases too; without a login they stay in the "
        "run's folder, for `wandb sync`.",
    )


class Save(Section):
    """When the state is written, from which a run resumes exactly."""

    every: int = Field(default=500, ge=1, description="Steps between states.")
    keep: int = Field(default=2, ge=1, description="States kept; older ones are removed.")

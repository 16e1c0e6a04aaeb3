"""What every task passes on to `generate` as it is, keyword by keyword."""

from typing import TypedDict


class Options(TypedDict, total=False):
    """Settings of `generate` that mean the same in each task; what is left out has the default there."""

    negative_prompt: str
    steps: int
    guidance_scale: float
    guidance_rescale: float
    sampler: str
    clip_skip: int | None
    reuse: str | None

"""The section of a plan on arithmetic and machines: time and memory change with it, results by rounding."""

from typing import Literal

from pydantic import Field

from controlnet.training.sections import Section

Precision = Literal["fp32", "bf16", "fp16"]


class EnginePart(Section):
    """How a run's arithmetic is laid out on its machines."""

    base: Precision | None = Field(
        default=None, description="Precision of the locked base and what surrounds it; none: `precision`."
    )
    channels_last: bool = Field(
        default=False, description="Keep maps with their channels last, as the convolutions of GPUs like it."
    )
    compile: bool = Field(
        default=False, description="Compile the networks block by block (torch.compile): a slower start."
    )
    shard: bool | None = Field(
        default=None,
        description="Divide ControlNet, gradients and optimizer among the processes (FSDP2); none: where "
        "`accelerate launch --use_fsdp` says so.",
    )
    memory: float | None = Field(
        default=None,
        gt=0,
        description="GB of the device that the run is planned for; none: those of the device that it is on.",
    )

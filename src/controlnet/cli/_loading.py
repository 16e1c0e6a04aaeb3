"""What a job asks for, loaded: the base with what is added to it, its ControlNets, controls at work."""

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from controlnet.cli._job import Job
from controlnet.errors import SettingError, UnknownName

if TYPE_CHECKING:
    import numpy as np

    from controlnet.backbones import Base
    from controlnet.conditions._base import Condition
    from controlnet.core.controlnet import ControlNet
    from controlnet.sampling import Control

log = logging.getLogger(__name__)


def makers_of(job: Job) -> "list[Condition | None]":
    """Build the annotators, None for a control whose picture is a map already.

    Raises what reading the controls' settings raises besides (UnknownName, SettingError), so that whatever
    can be wrong without a network is found before any is loaded.
    """
    from controlnet.conditions import condition
    from controlnet.nearest import unknown
    from controlnet.sampling.control import LAWS, RULES, mode_of
    from controlnet.sampling.reuse import Reuse
    from controlnet.sampling.schedule import parse_weight
    from controlnet.sampling.tap_weights import parse_taps

    if job.reuse is not None:
        Reuse.parse(job.reuse)
    for control in job.controls:
        for what, name, names in (("rule", control.rule, RULES), ("law", control.law, LAWS)):
            if name is not None and name not in names:
                raise UnknownName(unknown(f"{what} of controls", name, names))
        mode_of(control.mode)
        parse_weight(control.weight)
        if control.taps is not None:
            parse_taps(control.taps)
    return [None if spec is None else condition(spec) for spec in job.annotators]


def load(job: Job) -> "tuple[Base, str]":
    """Load the base with what is added to it, and tell its fingerprint from before that.

    A word of an embedding that no prompt has is warned of.
    """
    from controlnet.backbones import load_base
    from controlnet.checkpoints.decoder import add_decoders
    from controlnet.checkpoints.embedding import add_embedding
    from controlnet.checkpoints.lora import add_lora
    from controlnet.cli._memory import keep_freed_memory

    keep_freed_memory()
    base = load_base(
        job.base,
        device=device_of(job.device),
        vae=job.vae,
        text_encoder=list(job.text_encoders) or None,
        prediction_type=job.prediction_type,
        ema=job.ema,
        vae_tile=job.vae_tile,
        offload=job.offload,
    )
    if job.offload and base.device.type == "cpu":
        log.warning("--offload has no effect: the networks work in main memory already")
    fingerprint = base.fingerprint()
    add_decoders(base, [control.net for control in job.controls])
    for lora in job.loras:
        add_lora(base, lora.path, lora.weight)
    prompts = "\n".join([*job.prompts, job.negative]).lower()
    for embedding in job.embeddings:
        word = add_embedding(base, embedding.path, embedding.token)
        if word.lower() not in prompts:
            log.warning("the word %r of %s is in no prompt, and so has no effect", word, embedding.path)
    return base, fingerprint


def nets_of(job: Job, base: "Base") -> "list[ControlNet]":
    """Load the ControlNets, in the order of the controls."""
    from controlnet.checkpoints import load_controlnet

    return [load_controlnet(control.net, base=base).eval() for control in job.controls]


def packed(job: Job, base: "Base", nets: "list[ControlNet]") -> AbstractContextManager[None]:
    """Return what holds the weights in the CPU's own order, where the job asks for it."""
    from controlnet.sampling import prepacked

    return prepacked(base, *nets) if job.prepack else nullcontext()


def device_of(name: str) -> str:
    """Settle which device "auto" means; SettingError for one that this machine does not have."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(
            f"got --device {name} ({reason}); wanted auto, cpu or a device of this machine"
        ) from error
    return name


def controls_of(
    job: Job,
    nets: "list[ControlNet]",
    makers: "list[Condition | None]",
    maps: "list[np.ndarray]",
) -> "list[Control]":
    """Put controls together from their texts, ControlNets and maps."""
    from controlnet.cli._maps import seen
    from controlnet.sampling import Control
    from controlnet.sampling.control import mode_of
    from controlnet.sampling.schedule import parse_weight
    from controlnet.sampling.tap_weights import parse_taps

    controls: list[Control] = []
    for text, net, maker, image in zip(job.controls, nets, makers, maps, strict=True):
        weight, taps = parse_weight(text.weight), None if text.taps is None else parse_taps(text.taps)
        made = Control(
            net, seen(image, maker), weight, text.start, text.end, mode_of(text.mode), text.mask, taps=taps
        )
        if text.rule is not None:
            made = replace(made, rule=text.rule)  # type: ignore[arg-type]  # Control knows the names
        controls.append(made if text.law is None else replace(made, law=text.law))  # type: ignore[arg-type]
    return controls

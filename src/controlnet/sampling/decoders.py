"""Whether a base has the decoder that its ControlNets were trained with."""

import logging
from collections.abc import Sequence

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet

log = logging.getLogger(__name__)


def check_decoder(base: Base, nets: Sequence[ControlNet]) -> None:
    """Warn where a ControlNet was trained with the base's decoder unlocked, and the base has another one."""
    for wanted in {net.origin.decoder for net in nets} - {"", base.decoder}:
        log.warning(
            "a ControlNet was trained along with a decoder (%s) that this base does not have; it works less "
            "well so: add_decoder(base, …) with the decoder.safetensors beside its file",
            wanted,
        )

"""Where a ControlNet comes from: what it takes to rebuild its copy, and to tell its base from others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, final

import torch
from torch import Tensor, nn

from controlnet.core.backbone import Locked, resolve

_SAMPLE = 4096  # values read of each tensor: enough to tell any two trainings apart, and quick on billions


@final
@dataclass(frozen=True)
class Origin:
    """The base that a ControlNet was cloned from: its name, configuration and fingerprint.

    decoder: fingerprint of the base's decoder as it was trained along; empty where the base stayed locked.
    """

    name: str
    configuration: dict[str, Any] = field(repr=False)
    fingerprint: str = ""
    decoder: str = ""

    @classmethod
    def of(cls, base: Locked | nn.Module) -> Origin:
        """Write a base down, or its bare network, which goes by the name of its class."""
        network, backbone = resolve(base)
        name = type(network).__name__ if isinstance(base, nn.Module) else getattr(base, "name", "")
        return cls(name, backbone.describe(network), fingerprint(network))


def fingerprint(network: nn.Module) -> str:
    """Return twelve hexadecimal digits, equal for equal weights in single and in half precision.

    Hashes each tensor's name and shape and up to 8,191 evenly spaced values in half precision; empty for a
    network on the meta device, which has no weights.
    """
    return fingerprint_of(network.state_dict())


def fingerprint_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the same of tensors by name, such as a part of a network."""
    digest = sha256()
    for name, tensor in sorted(tensors.items()):
        if tensor.is_meta:
            return ""
        values = tensor.detach().flatten()
        values = values[:: max(1, values.numel() // _SAMPLE)].to("cpu", torch.float16)
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()[:12]

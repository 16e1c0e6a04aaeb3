"""Official weight files as they are called and shaped, without their size."""

from typing import TypeVar

import torch
from torch import Tensor, nn

from tests.helpers import _layouts

M = TypeVar("M", bound=nn.Module)


def weightless(name: str) -> dict[str, Tensor]:
    """Return the tensors of an official file, of its shapes and without memory."""
    return {key: torch.empty(shape, device="meta") for key, shape in _layouts()[name]}


def narrow(module: nn.Module, name: str, seed: int = 0) -> dict[str, Tensor]:
    """Return random tensors under the names of an official file, of the shapes that a narrow module takes.

    Those which the module leaves out are a single number.
    """
    generator = torch.Generator().manual_seed(seed)
    own = module.state_dict()
    from_official = getattr(module, "from_official", dict)

    def tensor(key: str, shape: list[int]) -> Tensor:
        mapped = from_official({key: torch.empty(shape, device="meta")})
        if not mapped:
            return torch.zeros(1)
        wanted = own[next(iter(mapped))]
        if not wanted.is_floating_point():
            return torch.zeros_like(wanted)
        values = torch.randn(wanted.shape, generator=generator)
        if key.endswith("running_var") or (key.endswith("weight") and values.ndim == 1):
            return values.abs() / 2 + 0.5
        fan_in = values[0].numel() if values.ndim > 1 else 16
        values = values / fan_in**0.5
        return values.squeeze(-1) if values.ndim > len(shape) else values  # lengths that became sides

    return {key: tensor(key, shape) for key, shape in _layouts()[name]}

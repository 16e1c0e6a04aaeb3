"""The seam between the idea and a family of base networks.

A backbone answers for one family: where residuals are born and where they land (`taps`), what is copied
(`clone`), how the copy runs with a hint added (`encode`), the network with residuals added (`denoise`), and
how to write a network down and build it again (`describe`, `build`). All else is the same for every family.

Legend: B batch, C h w latents.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn

from controlnet.core.context import Context
from controlnet.errors import SettingError
from controlnet.registry import find, names

if TYPE_CHECKING:
    from controlnet.core.residuals import Residuals

__all__ = ["Backbone", "Context", "Example", "Layout", "Locked", "Tap", "backbone_of", "resolve", "spread"]

Layout = Literal["map", "tokens"]


@final
@dataclass(frozen=True)
class Tap:
    """One place where a residual is born in the copy and lands in the base; `stride` counts latent pixels."""

    name: str
    channels: int
    layout: Layout = "map"
    stride: int = 1


@final
@dataclass(frozen=True, eq=False)
class Example:
    """A small random network with inputs that fit it, for tests and for trying things out."""

    network: nn.Module
    x: Tensor
    timestep: Tensor
    context: Context
    condition: Tensor


@runtime_checkable
class Locked(Protocol):
    """Whatever carries a network: a loaded base, or an object of one's own."""

    @property
    def network(self) -> nn.Module:
        """The locked network."""
        ...


class Backbone(ABC):
    """One family of base networks; stateless, one final class for each, found from the network itself."""

    variants: ClassVar[tuple[str, ...]]

    @property
    def name(self) -> str:
        """The name of the plug-in: that of its file."""
        return type(self).__module__.rpartition(".")[2]

    @abstractmethod
    def matches(self, network: nn.Module) -> bool:
        """Tell whether this network is one of the family."""

    @abstractmethod
    def taps(self, network: nn.Module) -> tuple[Tap, ...]:
        """List where residuals land, skips first, middle last."""

    @abstractmethod
    def clone(self, network: nn.Module) -> nn.Module:
        """Copy the encoder and the middle, Θ → Θc: trainable, sharing no storage with the network."""

    @abstractmethod
    def lite(self, network: nn.Module) -> nn.Module:
        """Build the paper's ablation of the copy: one convolution for each block, started from nothing."""

    @abstractmethod
    def encode(
        self, clone: nn.Module, x: Tensor, timestep: Tensor, context: Context, hint: Tensor
    ) -> tuple[Tensor, ...]:
        """Run the copy and return its features at the taps, F(x + hint; Θc).

        The timestep is (B,); the hint (B,C0,h,w) is added where the family's published ControlNets add it.
        """

    @abstractmethod
    def denoise(
        self, network: nn.Module, x: Tensor, timestep: Tensor, context: Context, residuals: Residuals | None
    ) -> Tensor:
        """Run the network, with the residuals added at the taps; None gives the network's own output."""

    def deep(self, network: nn.Module) -> AbstractContextManager[list[Tensor]]:
        """Keep the deep features of each run of the network, the last run's alone, in the list that is given.

        They are what `shallow` goes on from. SettingError for networks and families that have none.
        """
        raise SettingError(f"the family {self.name} has no shallow run; leave out the reuse of deep features")

    def shallow(
        self,
        network: nn.Module,
        x: Tensor,
        timestep: Tensor,
        context: Context,
        residuals: Residuals | None,
        deep: Tensor,
    ) -> Tensor:
        """Run the outermost layers alone, on deep features of an earlier run: near to `denoise`."""
        raise SettingError(f"the family {self.name} has no shallow run; leave out the reuse of deep features")

    @abstractmethod
    def describe(self, network: nn.Module) -> dict[str, Any]:
        """Write the network's configuration down, as JSON values."""

    @abstractmethod
    def build(self, configuration: Mapping[str, Any]) -> nn.Module:
        """Build a network on the meta device from what `describe` wrote: its shapes without its weights."""

    def blank(self, configuration: Mapping[str, Any]) -> nn.Module:
        """Build the copy of such a network in the same way, for weights from a file; `taps` reads it, too."""
        return self.clone(self.build(configuration))

    @abstractmethod
    def tiny(self, variant: str | None = None, seed: int = 0) -> Example:
        """Make a small random network of one of `variants` (the first by default), and inputs for it."""

    def decoder(self, network: nn.Module) -> dict[str, nn.Parameter]:
        """Name the parameters behind the middle, which may be unlocked as well (paper, section 3.3).

        Raises SettingError for a family that has no such part.
        """
        raise SettingError(
            f"a {type(network).__name__} has no decoder to unlock; wanted a U-Net: leave it locked"
        )


def backbone_of(network: nn.Module) -> Backbone:
    """Find the family of a network from the network itself; SettingError if no backbone knows it."""
    for name in names("backbones"):
        backbone: Backbone = find("backbones", name)()
        if backbone.matches(network):
            return backbone
    raise SettingError(
        f"got a {type(network).__name__}, which no backbone ({', '.join(names('backbones'))}) knows; wanted "
        "a diffusers network such as UNet2DConditionModel, or an object with .network and its own .backbone"
    )


def resolve(base: Locked | nn.Module) -> tuple[nn.Module, Backbone]:
    """Return the network and its family, given the network itself or an object that carries it."""
    if isinstance(base, nn.Module):
        return base, backbone_of(base)
    backbone: Backbone | None = getattr(base, "backbone", None)
    return base.network, backbone or backbone_of(base.network)


def spread(timestep: Tensor | int | float, x: Tensor) -> Tensor:
    """Return one timestep for each sample (B,), given one for all or one for each."""
    return torch.as_tensor(timestep, device=x.device).expand(x.shape[0])

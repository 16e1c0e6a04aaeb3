"""The base's decoder in a run: unlocked and trained along, or brought along by what the run started from.

It is held in single precision, since a learning rate of 2e-6 is lost in the rounding of half precision; where
the rest of the base is in another one, the network runs under autocast. What it was before is kept too:
"of the base alone" means the base as it was loaded.

Source: paper, section 3.3; `sd_locked = False` of the published trainer, which trains up blocks and output.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from controlnet.backbones import Base
from controlnet.checkpoints.decoder import read_decoder, save_decoder
from controlnet.core.origin import Origin
from controlnet.errors import PlanError
from controlnet.training.ema import Ema
from controlnet.training.engine import Engine

PREFIX = "base."  # of the names of its parameters, among those of the ControlNet


def original(base: Base) -> dict[str, Tensor]:
    """Return the decoder of a base that was just loaded: in single precision, on the CPU."""
    return {
        name: parameter.detach().to("cpu", torch.float32, copy=True)
        for name, parameter in base.backbone.decoder(base.network).items()
    }


class Decoder:
    """The decoder of a base that is not as it was loaded, or will not be."""

    def __init__(
        self,
        base: Base,
        was: Mapping[str, Tensor],
        file: Path | None,
        trains: bool,
        decay: float | None,
        engine: Engine,
    ) -> None:
        """Take it from a file, or begin as it was; trains: unlock it; decay: of a running mean."""
        if trains and engine.sharded:
            raise PlanError(
                "a phase unlocks the base's decoder, which FSDP does not shard; wanted one process, or "
                "several by DDP: launch it so, or leave the decoder locked"
            )
        self.trains, self._was, self._engine = trains, was, engine
        self._parameters = base.backbone.decoder(base.network)
        values = was if file is None else read_decoder(file, was)
        for name, parameter in self._parameters.items():
            # New memory, laid out as the base's is.
            parameter.data = torch.empty_like(parameter, dtype=torch.float32).copy_(values[name])
            parameter.requires_grad_(trains)
        self._ema = Ema(base.network, decay) if trains and decay is not None else None
        network: Any = base.network
        if base.dtype != torch.float32 and "forward" not in vars(network):
            network.forward = torch.autocast(base.device.type, base.dtype)(network.forward)
        self._network: nn.Module = network

    @property
    def trained(self) -> list[nn.Parameter]:
        """The parameters that an optimizer shall have."""
        return list(self._parameters.values()) if self.trains else []

    @property
    def names(self) -> dict[int, str]:
        """The names of the parameters by their id, as states have them."""
        return {id(parameter): f"{PREFIX}{name}" for name, parameter in self._parameters.items()}

    def load_mean(self, file: Path) -> None:
        """Take the running mean from a state."""
        if self._ema is not None:
            for name, value in read_decoder(file, self._was).items():
                self._ema.mean[name].copy_(value)

    def gather(self) -> None:
        """Average the gradients of several processes; the engine does so for the ControlNet alone."""
        if self._engine.num_processes > 1:
            for parameter in self.trained:
                if parameter.grad is not None:
                    parameter.grad = self._engine.reduce(parameter.grad)

    def update_mean(self, step: int) -> None:
        """Move the running mean, where there is one, after a step."""
        if self._ema is not None:
            self._ema.update(self._network, step)

    @contextmanager
    def delivered(self) -> Iterator[None]:
        """Let the base have the running mean, where there is one."""
        with nullcontext() if self._ema is None else self._ema.applied(self._network):
            yield

    @contextmanager
    @torch.no_grad()
    def as_loaded(self) -> Iterator[None]:
        """Let the base be as it was loaded."""
        own = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._write(self._was)
        try:
            yield
        finally:
            self._write(own)

    def save(self, path: Path, origin: Origin, metadata: Mapping[str, Any]) -> str:
        """Write it as the base has it now, and return its fingerprint."""
        return save_decoder(path, self._parameters, origin, metadata)

    @torch.no_grad()
    def _write(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._parameters.items():
            parameter.copy_(values[name])

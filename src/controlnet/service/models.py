"""The models of a worker: loaded once, and the least recently used ones left when memory runs short."""

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from controlnet.backbones import Base, load_base
from controlnet.checkpoints import load_controlnet
from controlnet.checkpoints.decoder import agreed, with_decoders
from controlnet.conditions._networks import load
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError, ServiceError
from controlnet.sampling.size import stride
from controlnet.service.catalog import Catalog, Model

log = logging.getLogger(__name__)

SHARE: Final = 0.7  # of the device's memory is for models, the rest for the work itself


class Models:
    """Bases and ControlNets by name, within a bound of bytes; one worker's, used by one thread.

    bound: None takes a share of the device's memory. What is in use (`begin` … ) never leaves, so that more
    than the bound may be held by one job alone; then it fails.
    """

    def __init__(
        self, catalog: Catalog, device: torch.device, bound: int | None = None, half: bool = False
    ) -> None:
        self._catalog, self._device, self._half = catalog, device, half
        self._bound = bound or int(SHARE * _memory_of(device))
        self._held: OrderedDict[tuple[str, ...], tuple[Any, int]] = OrderedDict()
        self._used: set[tuple[str, ...]] = set()
        self.known: dict[str, dict[str, int]] = {}

    def begin(self) -> None:
        """Say that a new group of jobs begins: what the last one used may leave."""
        self._used.clear()

    def base(self, name: str, nets: Sequence[str] = ()) -> Base:
        """Return a base, with the decoder that was trained along with ControlNets, if one was.

        Raises CheckpointError, without its place, where it cannot be loaded, and SettingError where the
        ControlNets want several decoders.
        """
        model = self._catalog.base(name)
        dtype = torch.float16 if self._half else None
        base: Base = self._get((name,), model, lambda: load_base(model.source, dtype, self._device))
        self.known[name] = {"size": base.sample_size, "stride": stride(base)}
        return self._decoded(base, name, [self._catalog.control(net) for net in nets])

    def net(self, name: str, base: str) -> ControlNet:
        """Return a ControlNet in the precision and on the device of a base; raises as `base` does."""
        model, under = self._catalog.control(name), self.base(base)
        return self._get((base, name), model, lambda: load_controlnet(model.source, base=under).eval())

    def _decoded(self, base: Base, name: str, nets: Sequence[Model]) -> Base:
        decoder = agreed({net.name: net.decoder for net in nets})
        if not decoder:
            return base
        bringer = next(net for net in nets if net.decoder)

        def load() -> Base:
            own = with_decoders(base, [bringer.source])
            if own.decoder != decoder:
                raise CheckpointError(f"{bringer.name}: the decoder beside it ({decoder}) is there no more")
            return own

        own = self._get((name, f"decoder {decoder}"), bringer, load, _size_of_decoder)
        self._held.move_to_end((name,))  # what is shared with it leaves after it
        return own

    def usage(self) -> dict[str, Any]:
        """Return the process with its bytes, and those of models, and what is loaded."""
        loaded = [" on ".join(reversed(key)) for key in self._held]
        process = {"process": os.getpid(), "resident": _resident()}
        return process | {"models": self._bytes(), "loaded": loaded, "bound": self._bound}

    def release(self) -> None:
        """Let go of all models, as after memory ran out."""
        self._held.clear()
        load.forget()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _get(
        self,
        key: tuple[str, ...],
        model: Model,
        make: Callable[[], Any],
        size: Callable[[Any], int] | None = None,
    ) -> Any:
        self._used.add(key)
        if key not in self._held:
            self._make_room(model.bytes)
            try:
                made = make()
            except CheckpointError as error:
                log.error("%s cannot be loaded: %s", model.name, error)
                told = str(error).replace(str(Path(model.source).parent) + os.sep, "")
                raise CheckpointError(told) from error
            self._held[key] = made, (size or _size)(made)
            self._make_room(0)
        self._held.move_to_end(key)
        return self._held[key][0]

    def _make_room(self, wanted: int) -> None:
        """Let the least recently used models go until so many bytes fit; ServiceError where they cannot."""
        while self._bytes() + wanted > self._bound:
            leaving = next((key for key in self._held if key not in self._used), None)
            if leaving is None:
                if load.held():
                    load.forget()
                    continue
                if wanted or len(self._held) == 1:
                    return  # an estimate from the disk, or a single model: it is tried
                raise ServiceError(
                    f"the models of this request take {self._bytes() / 1e9:.2f} GB; the service keeps "
                    f"{self._bound / 1e9:.2f} GB: use fewer controls, or serve with more --memory"
                )
            del self._held[leaving]
            log.info("%s left to make room", " with ".join(leaving))

    def _bytes(self) -> int:
        return sum(size for _, size in self._held.values()) + load.held()


def _size(made: Base | ControlNet) -> int:
    return _total(part for module in _modules(made) for part in _tensors(module))


def _size_of_decoder(base: Base) -> int:
    return _total(base.backbone.decoder(base.network).values())


def _total(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _modules(made: Base | ControlNet) -> Iterator[nn.Module]:
    if isinstance(made, Base):
        yield from (made.network, made.vae, *made.text_encoders)
    else:
        yield made


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def _memory_of(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # other systems than Linux
        return 0

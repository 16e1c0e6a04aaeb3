"""Weights in the order in which the CPU's kernels read them: exact speed, for as long as a context lasts.

At each call of a convolution oneDNN brings the weights into an order of its own, which where maps are small
takes longer than the convolution; and linear layers go to another library, which some processors run at half
their speed. Packed once, weights need no reordering, and both kinds of layers run in oneDNN.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet

_LINEAR: Final = "_linear_pointwise"
_LINE: Final = 64  # bytes; kernels round differently by where in such a line a tensor begins

log = logging.getLogger(__name__)


@contextmanager
def prepacked(base: Base, *nets: ControlNet) -> Iterator[None]:
    """Hold the weights of a base's network and of ControlNets in the CPU's own order while the context lasts.

    Pictures stay but for rounding (about 1e-6 of a prediction). A layer is packed at its first call, so that
    the first step takes longer, and its plain weights leave memory until the end, when they come back bit for
    bit: meanwhile the networks are for sampling alone, by this thread alone. Only convolutions and linear
    layers in single precision on the CPU are touched; where there are none, a warning says so.
    """
    fitting = [layer for module in (base.network, *nets) for layer in module.modules() if _fits(layer)]
    layers = {id(layer.weight): layer for layer in fitting}.values()  # each once, also of a net given twice
    if not layers:
        log.warning("prepacking has no effect: it is for networks in single precision on a CPU with oneDNN")
    with ExitStack() as stack:
        for layer in layers:
            packed = _Packed(layer)
            layer.forward = packed.run
            stack.callback(packed.undo)
        yield


def _fits(layer: Any) -> bool:
    """Tell the plain kinds alone: what derives from them, such as a LoRA's, has a forward of its own."""
    if type(layer) is nn.Conv2d:
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            return False
    elif type(layer) is not nn.Linear or not hasattr(torch.ops.mkldnn, _LINEAR):
        return False
    weight = layer.weight
    usual = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.is_contiguous()
    return usual and "forward" not in vars(layer) and torch.backends.mkldnn.is_available()


class _Packed:
    """One layer whose weights are packed at its first call."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._weight: Any = None
        self._shape: torch.Size = layer.weight.shape
        self._place: int = layer.weight.data_ptr() % _LINE
        self.run: Callable[[Tensor], Tensor] = self._convolve if type(layer) is nn.Conv2d else self._multiply

    def undo(self) -> None:
        del self._layer.forward
        if self._weight is not None:
            self._layer.weight.data = _at(self._place, self._weight.to_dense().reshape(self._shape))

    def _convolve(self, x: Tensor) -> Tensor:
        layer = self._layer
        how = (layer.padding, layer.stride, layer.dilation, layer.groups)
        if self._weight is None:
            plain = layer.weight.detach().to_mkldnn()
            self._keep(torch.ops.aten.mkldnn_reorder_conv2d_weight(plain, *how, list(x.shape)))
        weight: Any = self._weight
        return torch.mkldnn_convolution(x, weight, layer.bias, *how)

    def _multiply(self, x: Tensor) -> Tensor:
        if self._weight is None:
            rows = x.numel() // x.shape[-1]
            self._keep(torch.ops.mkldnn._reorder_linear_weight(self._layer.weight.detach(), rows))
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._layer.bias, "none", [], "")

    def _keep(self, packed: Tensor) -> None:
        self._weight = packed
        self._layer.weight.data = self._layer.weight.new_empty(0)


def _at(place: int, values: Tensor) -> Tensor:
    """Copy values to memory that begins at such a place in its line."""
    size = values.element_size()
    room = values.new_empty(values.numel() + _LINE // size)
    first = (place - room.data_ptr()) % _LINE // size
    return room[first : first + values.numel()].view(values.shape).copy_(values)

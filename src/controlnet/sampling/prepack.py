"""Weights in the order in which the CPU's kernels read them: exact speed, for as long as a context lasts.

At each call of a convolution oneDNN brings the weights into an order of its own, which where maps are small
takes longer than the convolution; and linear layers go to another library, which some processors run at half
their speed. Packed once, weights need no reordering, and both kinds of layers run in oneDNN.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet

_LINEAR: Final = "_linear_pointwise"

log = logging.getLogger(__name__)


@contextmanager
def prepacked(base: Base, *nets: ControlNet) -> Iterator[None]:
    """Hold the weights of a base's network and of ControlNets in the CPU's own order while the context lasts.

    Pictures stay but for rounding (about 1e-6 of a prediction). A layer is packed at its first call, so that
    the first step takes longer; plain weights stay where they are, so that memory is wanted for both, and
    changes to them have no effect before the end. Only convolutions and linear layers in single precision on
    the CPU are touched; where there are none, a warning says so.
    """
    fitting: list[Any] = [part for net in (base.network, *nets) for part in net.modules() if _fits(part)]
    layers = {id(layer.weight): layer for layer in fitting}.values()  # each once, also of a net given twice
    if not layers:
        log.warning("prepacking has no effect: it is for networks in single precision on a CPU with oneDNN")
    with ExitStack() as stack:
        for layer in layers:
            packed: Any = _Convolution(layer) if type(layer) is nn.Conv2d else _Product(layer)
            layer.forward = packed
            stack.callback(delattr, layer, "forward")
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


class _Convolution:
    """A convolution whose weights are packed at its first call, for inputs of that size best."""

    def __init__(self, layer: nn.Conv2d) -> None:
        self._bias, self._weight = layer.bias, layer.weight.detach()
        self._how = (layer.padding, layer.stride, layer.dilation, layer.groups)

    def __call__(self, x: Tensor) -> Tensor:
        if self._weight.layout == torch.strided:
            pack: Any = torch.ops.aten.mkldnn_reorder_conv2d_weight
            self._weight = pack(self._weight.to_mkldnn(), *self._how, list(x.shape))
        convolve: Any = torch.mkldnn_convolution
        return convolve(x, self._weight, self._bias, *self._how)


class _Product:
    """A linear layer, likewise."""

    def __init__(self, layer: nn.Linear) -> None:
        self._bias, self._weight = layer.bias, layer.weight.detach()

    def __call__(self, x: Tensor) -> Tensor:
        if self._weight.layout == torch.strided:
            rows = x.numel() // x.shape[-1]
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight, rows)
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")

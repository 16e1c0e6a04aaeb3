"""Counting what a computation would keep in memory, on tensors that have shapes and no numbers.

On torch's meta device every operation gives the shape of its outcome and computes nothing. `Ledger` counts
the bytes of all tensors that live at one time, as autograd keeps and drops them: forwards, backwards, with
activations kept or recomputed. Two things depend on the device and are played by `AsOn`: attention, whose
matrix of weights fused kernels never hold, and autocast. What kernels take for themselves while they run
is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@final
class Ledger(TorchDispatchMode):
    """Counts the bytes of the tensors made within the block: `now`, and the `most` at one time.

    there: tensors made before, of which views are made within. most_besides: the most at one time without
    what was `put_by` till then.
    """

    def __init__(self, there: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.most = self.most_besides = self._by = 0
        self._there = [tensor.untyped_storage() for tensor in there]  # kept, lest another takes its place
        self._places = {storage._cdata for storage in self._there}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(found):
            if isinstance(leaf, Tensor) and leaf.is_meta:
                self._enter(leaf)
        return found

    def put_by(self, tensor: Tensor) -> None:
        """Count a tensor, such as a gradient, as one that stays."""
        self._by += bytes_of([tensor])

    def _enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place not in self._places:
            self._places.add(place)
            self.now += size
            self.most = max(self.most, self.now)
            self.most_besides = max(self.most_besides, self.now - self._by)
            weakref.finalize(storage, self._leave, place, size).atexit = False

    def _leave(self, place: int, size: int) -> None:
        self._places.discard(place)
        self.now -= size


@final
class AsOn(TorchFunctionMode):
    """Lets operations on the meta device keep what they would keep on a device ("cuda", "cpu" …).

    half: the precision that trainable layers compute in, under autocast; None for their own. Locked layers
    compute in the precision that they are of, as the base does in training.
    """

    def __init__(self, device: str, half: torch.dtype | None) -> None:
        super().__init__()
        self._half = half
        # On a CPU autocast leaves the norms in the precision that they are given.
        self._norms = (F.group_norm, F.layer_norm) if device != "cpu" else ()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func is F.scaled_dot_product_attention:
            return _Attention.apply(*args[:3])
        lowered, raised = func in _LAYERS, func in self._norms
        if self._half is not None and (lowered or raised) and any(map(_trains, (*args, *named.values()))):
            dtype = self._half if lowered else torch.float32
            args = tuple(_brought(value, dtype) for value in args)
            named = {name: _brought(value, dtype) for name, value in named.items()}
        if func in (F.group_norm, F.layer_norm):
            x, groups = args[0], args[0].shape[:-1].numel()  # of a layer norm: one for each token
            groups = x.shape[0] * args[1] if func is F.group_norm else groups
            weight, bias = (*args[2:4], None, None)[:2]
            return _Norm.apply(x, groups, named.get("weight", weight), named.get("bias", bias))
        return func(*args, **named)


_LAYERS = (F.conv2d, F.linear)


def _trains(value: object) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and value.is_leaf


def _brought(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


class _Attention(torch.autograd.Function):
    """Fused attention: keeps queries, keys, values, the outcome, and one number for each query."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        found = query.new_empty((*query.shape[:-1], value.shape[-1]))
        sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, found, sums)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        query, key, value, *_ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


class _Norm(torch.autograd.Function):
    """A norm as its kernels compute it; torch's own way on the meta device is right too, and slow."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, bias, x.new_empty(groups), x.new_empty(groups))
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, *_ = ctx.saved_tensors
        wanted = (x, None, weight, bias)
        return tuple(
            torch.empty_like(each) if each is not None and needed else None
            for each, needed in zip(wanted, ctx.needs_input_grad, strict=True)
        )


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of some tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
